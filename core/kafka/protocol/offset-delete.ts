import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface OffsetDeleteRequest {
  readonly group: string;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

export interface OffsetDeleteResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly partitions: readonly (TopicPartition & { readonly errorCode: number })[];
}

/**
 * KIP-496.
 *
 *   OffsetDelete Request (Version: 0) => group_id [topics]
 *     group_id => STRING
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index
 *         partition_index => INT32
 *
 *   OffsetDelete Response (Version: 0) => error_code throttle_time_ms [topics]
 *     error_code => INT16
 *     throttle_time_ms => INT32
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index error_code
 *         partition_index => INT32
 *         error_code => INT16
 */
export const offsetDelete: Api<OffsetDeleteRequest, OffsetDeleteResponse> = {
  name: "OffsetDelete",
  key: 47,
  version: 0,
  flexible: false,
  encode({ group, topics }, writer) {
    writer.string(group).array(topics, ({ topic, partitions }) => {
      writer.string(topic).array(partitions, (partition) => writer.int32(partition));
    });
  },
  decode(reader) {
    const errorCode = reader.int16();
    const throttleTimeMs = reader.int32();
    const topics = reader.array(() => {
      const topic = reader.string();
      return reader.array(() => ({
        topic,
        partition: reader.int32(),
        errorCode: reader.int16(),
      }));
    });
    return { throttleTimeMs, errorCode, partitions: topics.flat() };
  },
};
