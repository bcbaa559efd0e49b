import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface OffsetCommitRequest {
  readonly group: string;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly offset: bigint;
      readonly leaderEpoch: number;
      readonly metadata: string;
    }[];
  }[];
}

export interface OffsetCommitResponse {
  readonly throttleTimeMs: number;
  readonly partitions: readonly (TopicPartition & { readonly errorCode: number })[];
}

// As of no member: taken while the group has none.
const noGeneration = -1;
const noMember = "";

/**
 *   OffsetCommit Request (Version: 7) =>
 *       group_id generation_id_or_member_epoch member_id group_instance_id [topics]
 *     group_id => STRING
 *     generation_id_or_member_epoch => INT32
 *     member_id => STRING
 *     group_instance_id => NULLABLE_STRING
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index committed_offset committed_leader_epoch committed_metadata
 *         partition_index => INT32
 *         committed_offset => INT64
 *         committed_leader_epoch => INT32
 *         committed_metadata => NULLABLE_STRING
 *
 *   OffsetCommit Response (Version: 7) => throttle_time_ms [topics]
 *     throttle_time_ms => INT32
 *     topics => name [partitions]
 *       name => STRING
 *       partitions => partition_index error_code
 *         partition_index => INT32
 *         error_code => INT16
 */
export const offsetCommit: Api<OffsetCommitRequest, OffsetCommitResponse> = {
  name: "OffsetCommit",
  key: 8,
  version: 7,
  flexible: false,
  encode({ group, topics }, writer) {
    writer.string(group).int32(noGeneration).string(noMember).nullableString(null);
    writer.array(topics, ({ topic, partitions }) => {
      writer.string(topic).array(partitions, ({ partition, offset, leaderEpoch, metadata }) => {
        writer.int32(partition).int64(offset).int32(leaderEpoch).nullableString(metadata);
      });
    });
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const topics = reader.array(() => {
      const topic = reader.string();
      return reader.array(() => ({
        topic,
        partition: reader.int32(),
        errorCode: reader.int16(),
      }));
    });
    return { throttleTimeMs, partitions: topics.flat() };
  },
};
