import type { SettingChange } from "#core/kafka/cluster.ts";
import { topicResource } from "#core/kafka/protocol/describe-configs.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

/** AlterConfigOp of KIP-339. */
const operations = { set: 0, delete: 1 } as const;

/**
 *   IncrementalAlterConfigs Request (Version: 0) => [resources] validate_only
 *     resources => resource_type resource_name [configs]
 *       resource_type => INT8
 *       resource_name => STRING
 *       configs => name config_operation value
 *         name => STRING
 *         config_operation => INT8
 *         value => NULLABLE_STRING
 *     validate_only => BOOLEAN
 *
 *   IncrementalAlterConfigs Response (Version: 0) => throttle_time_ms [responses]
 *     throttle_time_ms => INT32
 *     responses => error_code error_message resource_type resource_name
 *       error_code => INT16
 *       error_message => NULLABLE_STRING
 *       resource_type => INT8
 *       resource_name => STRING
 */
export const incrementalAlterConfigs: Api<
  {
    readonly topic: string;
    readonly changes: readonly SettingChange[];
    readonly validateOnly: boolean;
  },
  {
    readonly throttleTimeMs: number;
    readonly errorCode: number;
    readonly errorMessage: string | null;
  }
> = {
  name: "IncrementalAlterConfigs",
  key: 44,
  version: 0,
  flexible: false,
  encode({ topic, changes, validateOnly }, writer) {
    writer.array([topic], (name) => {
      writer.int8(topicResource).string(name);
      writer.array(changes, (change) => {
        const operation = "set" in change ? operations.set : operations.delete;
        writer.string(change.name).int8(operation);
        writer.nullableString("set" in change ? change.set : null);
      });
    });
    writer.boolean(validateOnly);
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const [answer] = reader.array(() => {
      const result = { errorCode: reader.int16(), errorMessage: reader.nullableString() };
      reader.int8();
      reader.string();
      return result;
    });
    if (answer === undefined) throw new RangeError("an answer without a resource");
    return { throttleTimeMs, ...answer };
  },
};
