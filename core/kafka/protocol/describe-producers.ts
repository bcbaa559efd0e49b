import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface DescribeProducersResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly producers: readonly {
    readonly producerId: bigint;
    readonly producerEpoch: number;
    readonly lastTimestamp: bigint;
    /** -1 without an open transaction. */
    readonly transactionStartOffset: bigint;
  }[];
}

/**
 *   DescribeProducers Request (Version: 0) => [topics] TAG_BUFFER
 *     topics => name [partition_indexes] TAG_BUFFER
 *       name => COMPACT_STRING
 *       partition_indexes => INT32
 *
 *   DescribeProducers Response (Version: 0) => throttle_time_ms [topics] TAG_BUFFER
 *     throttle_time_ms => INT32
 *     topics => name [partitions] TAG_BUFFER
 *       name => COMPACT_STRING
 *       partitions => partition_index error_code error_message [active_producers] TAG_BUFFER
 *         partition_index => INT32
 *         error_code => INT16
 *         error_message => COMPACT_NULLABLE_STRING
 *         active_producers => producer_id producer_epoch last_sequence last_timestamp
 *             coordinator_epoch current_txn_start_offset TAG_BUFFER
 *           producer_id => INT64
 *           producer_epoch, last_sequence => INT32
 *           last_timestamp => INT64
 *           coordinator_epoch => INT32
 *           current_txn_start_offset => INT64
 */
export const describeProducers: Api<TopicPartition, DescribeProducersResponse> = {
  name: "DescribeProducers",
  key: 61,
  version: 0,
  flexible: true,
  encode({ topic, partition }, writer) {
    writer.compactArray([topic], (name) => {
      writer.compactString(name).compactArray([partition], (index) => writer.int32(index));
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const topics = reader.compactArray(() => {
      reader.compactString();
      const partitions = reader.compactArray(() => {
        reader.int32();
        const errorCode = reader.int16();
        const errorMessage = reader.compactNullableString();
        const producers = reader.compactArray(() => {
          const producerId = reader.int64();
          const producerEpoch = reader.int32();
          reader.int32();
          const lastTimestamp = reader.int64();
          reader.int32();
          const transactionStartOffset = reader.int64();
          reader.taggedFields();
          return { producerId, producerEpoch, lastTimestamp, transactionStartOffset };
        });
        reader.taggedFields();
        return { errorCode, errorMessage, producers };
      });
      reader.taggedFields();
      return partitions;
    });
    reader.taggedFields();
    const answer = topics[0]?.[0];
    if (answer === undefined) throw new RangeError("an answer without a partition");
    return { throttleTimeMs, ...answer };
  },
};
