import type { NewTopic } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface CreateTopicsResponse {
  readonly throttleTimeMs: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly errorCode: number;
    readonly errorMessage: string | null;
  }[];
}

/**
 *   CreateTopics Request (Version: 4) => [topics] timeout_ms validate_only
 *     topics => name num_partitions replication_factor [assignments] [configs]
 *       name => STRING
 *       num_partitions => INT32
 *       replication_factor => INT16
 *       assignments => partition_index [broker_ids]
 *       configs => name value
 *         name => STRING
 *         value => NULLABLE_STRING
 *     timeout_ms => INT32
 *     validate_only => BOOLEAN
 *
 *   CreateTopics Response (Version: 4) => throttle_time_ms [topics]
 *     throttle_time_ms => INT32
 *     topics => name error_code error_message
 *       name => STRING
 *       error_code => INT16
 *       error_message => NULLABLE_STRING
 */
export const createTopics: Api<
  {
    readonly topics: readonly NewTopic[];
    readonly timeoutMs: number;
    readonly validateOnly: boolean;
  },
  CreateTopicsResponse
> = {
  name: "CreateTopics",
  key: 19,
  version: 4,
  flexible: false,
  encode({ topics, timeoutMs, validateOnly }, writer) {
    writer.array(topics, ({ topic, partitionCount, replicationFactor, config }) => {
      writer.string(topic).int32(partitionCount).int16(replicationFactor);
      writer.array([], () => {});
      writer.array(Object.entries(config), ([name, value]) => {
        writer.string(name).nullableString(value);
      });
    });
    writer.int32(timeoutMs).boolean(validateOnly);
  },
  decode(reader) {
    return {
      throttleTimeMs: reader.int32(),
      topics: reader.array(() => ({
        topic: reader.string(),
        errorCode: reader.int16(),
        errorMessage: reader.nullableString(),
      })),
    };
  },
};
