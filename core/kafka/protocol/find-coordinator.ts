import type { Api } from "#core/kafka/protocol/wire.ts";

const groupKeyType = 0;

/**
 *   FindCoordinator Request (Version: 2) => key key_type
 *     key => STRING
 *     key_type => INT8
 *
 *   FindCoordinator Response (Version: 2) =>
 *       throttle_time_ms error_code error_message node_id host port
 *     throttle_time_ms => INT32
 *     error_code => INT16
 *     error_message => NULLABLE_STRING
 *     node_id => INT32
 *     host => STRING
 *     port => INT32
 */
export const findCoordinator: Api<
  { readonly group: string },
  {
    readonly throttleTimeMs: number;
    readonly errorCode: number;
    readonly errorMessage: string | null;
    readonly host: string;
    readonly port: number;
  }
> = {
  name: "FindCoordinator",
  key: 10,
  version: 2,
  flexible: false,
  encode({ group }, writer) {
    writer.string(group).int8(groupKeyType);
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const errorCode = reader.int16();
    const errorMessage = reader.nullableString();
    reader.int32();
    return { throttleTimeMs, errorCode, errorMessage, host: reader.string(), port: reader.int32() };
  },
};
