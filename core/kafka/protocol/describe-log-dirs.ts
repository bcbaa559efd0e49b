import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface DescribeLogDirsRequest {
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

export interface DescribeLogDirsResponse {
  readonly throttleTimeMs: number;
  /** Of the broker's disks; none at all without Describe on the cluster. */
  readonly logDirs: readonly {
    readonly errorCode: number;
    readonly path: string;
    readonly replicas: readonly (TopicPartition & {
      readonly bytes: bigint;
      /** Being copied to this disk, to replace the one on another. */
      readonly future: boolean;
    })[];
  }[];
}

/**
 * A broker tells of the replicas that are on its own disks.
 *
 *   DescribeLogDirs Request (Version: 1) => [topics]
 *     topics => topic [partitions]
 *       topic => STRING
 *       partitions => INT32
 *
 *   DescribeLogDirs Response (Version: 1) => throttle_time_ms [results]
 *     throttle_time_ms => INT32
 *     results => error_code log_dir [topics]
 *       error_code => INT16
 *       log_dir => STRING
 *       topics => name [partitions]
 *         name => STRING
 *         partitions => partition_index partition_size offset_lag is_future_key
 *           partition_index => INT32
 *           partition_size, offset_lag => INT64
 *           is_future_key => BOOLEAN
 */
export const describeLogDirs: Api<DescribeLogDirsRequest, DescribeLogDirsResponse> = {
  name: "DescribeLogDirs",
  key: 35,
  version: 1,
  flexible: false,
  encode({ topics }, writer) {
    writer.array(topics, ({ topic, partitions }) => {
      writer.string(topic).array(partitions, (partition) => writer.int32(partition));
    });
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const logDirs = reader.array(() => {
      const errorCode = reader.int16();
      const path = reader.string();
      const topics = reader.array(() => {
        const topic = reader.string();
        return reader.array(() => {
          const partition = reader.int32();
          const bytes = reader.int64();
          reader.int64();
          return { topic, partition, bytes, future: reader.boolean() };
        });
      });
      return { errorCode, path, replicas: topics.flat() };
    });
    return { throttleTimeMs, logDirs };
  },
};
