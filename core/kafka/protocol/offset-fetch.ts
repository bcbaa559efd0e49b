import type { Api } from "#core/kafka/protocol/wire.ts";

export interface OffsetFetchResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly offsets: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly offset: bigint;
    readonly leaderEpoch: number;
    readonly metadata: string | null;
    readonly errorCode: number;
  }[];
}

/**
 *   OffsetFetch Request (Version: 5) => group_id [topics]
 *     group_id => STRING
 *     topics => name [partition_indexes]     (null for all)
 *
 *   OffsetFetch Response (Version: 5) => throttle_time_ms [topics] error_code
 *     throttle_time_ms => INT32
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index committed_offset committed_leader_epoch metadata error_code
 *         partition_index => INT32
 *         committed_offset => INT64
 *         committed_leader_epoch => INT32
 *         metadata => NULLABLE_STRING
 *         error_code => INT16
 *     error_code => INT16
 */
export const offsetFetch: Api<{ readonly group: string }, OffsetFetchResponse> = {
  name: "OffsetFetch",
  key: 9,
  version: 5,
  flexible: false,
  encode({ group }, writer) {
    writer.string(group).nullArray();
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const topics = reader.array(() => {
      const topic = reader.string();
      return reader.array(() => ({
        topic,
        partition: reader.int32(),
        offset: reader.int64(),
        leaderEpoch: reader.int32(),
        metadata: reader.nullableString(),
        errorCode: reader.int16(),
      }));
    });
    return { throttleTimeMs, offsets: topics.flat(), errorCode: reader.int16() };
  },
};
