import type { Api } from "#core/kafka/protocol/wire.ts";

/** Timestamps with a meaning of their own. */
export const latestTimestamp = -1n;
export const earliestTimestamp = -2n;

export interface ListOffsetsRequest {
  readonly isolation: "read_committed" | "read_uncommitted";
  readonly timestamp: bigint;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

export interface ListOffsetsResponse {
  readonly throttleTimeMs: number;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly errorCode: number;
    readonly offset: bigint;
    readonly leaderEpoch: number;
  }[];
}

/**
 *   ListOffsets Request (Version: 4) => replica_id isolation_level [topics]
 *     replica_id => INT32
 *     isolation_level => INT8
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index current_leader_epoch timestamp
 *         partition_index => INT32
 *         current_leader_epoch => INT32
 *         timestamp => INT64
 *
 *   ListOffsets Response (Version: 4) => throttle_time_ms [topics]
 *     throttle_time_ms => INT32
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index error_code timestamp offset leader_epoch
 *         partition_index => INT32
 *         error_code => INT16
 *         timestamp => INT64
 *         offset => INT64
 *         leader_epoch => INT32
 */
export const listOffsets: Api<ListOffsetsRequest, ListOffsetsResponse> = {
  name: "ListOffsets",
  key: 2,
  version: 4,
  flexible: false,
  encode({ isolation, timestamp, topics }, writer) {
    writer.int32(-1).int8(isolation === "read_committed" ? 1 : 0);
    writer.array(topics, ({ topic, partitions }) => {
      writer.string(topic).array(partitions, (partition) => {
        writer.int32(partition).int32(-1).int64(timestamp);
      });
    });
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const topics = reader.array(() => {
      const topic = reader.string();
      return reader.array(() => {
        const partition = reader.int32();
        const errorCode = reader.int16();
        reader.int64();
        const offset = reader.int64();
        return { topic, partition, errorCode, offset, leaderEpoch: reader.int32() };
      });
    });
    return { throttleTimeMs, partitions: topics.flat() };
  },
};
