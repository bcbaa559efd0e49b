import type { AbortedTransaction, FetchRequest } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface FetchResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly highWatermark: bigint;
  readonly lastStableOffset: bigint;
  readonly logStartOffset: bigint;
  readonly abortedTransactions: readonly AbortedTransaction[];
  readonly records: Buffer;
}

/**
 * One partition a request, without a fetch session. An empty rack id asks for no preferred replica.
 *
 *   Fetch Request (Version: 11) => replica_id max_wait_ms min_bytes max_bytes isolation_level
 *       session_id session_epoch [topics] [forgotten_topics_data] rack_id
 *     replica_id, max_wait_ms, min_bytes, max_bytes => INT32
 *     isolation_level => INT8
 *     session_id, session_epoch => INT32
 *     topics => topic [partitions]
 *       topic => STRING
 *       partitions => partition current_leader_epoch fetch_offset log_start_offset
 *           partition_max_bytes
 *         partition, current_leader_epoch => INT32
 *         fetch_offset, log_start_offset => INT64
 *         partition_max_bytes => INT32
 *     forgotten_topics_data => topic [partitions]
 *     rack_id => STRING
 *
 *   Fetch Response (Version: 11) => throttle_time_ms error_code session_id [responses]
 *     throttle_time_ms => INT32
 *     error_code => INT16
 *     session_id => INT32
 *     responses => topic [partitions]
 *       topic => STRING
 *       partitions => partition_index error_code high_watermark last_stable_offset
 *           log_start_offset [aborted_transactions] preferred_read_replica records
 *         partition_index => INT32
 *         error_code => INT16
 *         high_watermark, last_stable_offset, log_start_offset => INT64
 *         aborted_transactions => producer_id first_offset     (null under read_uncommitted)
 *           producer_id, first_offset => INT64
 *         preferred_read_replica => INT32
 *         records => RECORDS
 */
export const fetch: Api<FetchRequest, FetchResponse> = {
  name: "Fetch",
  key: 1,
  version: 11,
  flexible: false,
  encode(request, writer) {
    writer.int32(-1).int32(request.maxWaitMs).int32(request.minBytes).int32(request.maxBytes);
    writer.int8(request.isolation === "read_committed" ? 1 : 0);
    writer.int32(0).int32(-1);
    writer.array([request.topic], (topic) => {
      writer.string(topic).array([request.partition], (partition) => {
        writer.int32(partition).int32(request.currentLeaderEpoch);
        writer.int64(request.fetchOffset).int64(-1n).int32(request.maxBytes);
      });
    });
    writer.array([], () => {}).string("");
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const errorCode = reader.int16();
    reader.int32();
    const topics = reader.array(() => {
      reader.string();
      return reader.array(() => {
        reader.int32();
        const partitionErrorCode = reader.int16();
        const highWatermark = reader.int64();
        const lastStableOffset = reader.int64();
        const logStartOffset = reader.int64();
        const abortedTransactions = reader.array(() => ({
          producerId: reader.int64(),
          firstOffset: reader.int64(),
        }));
        reader.int32();
        return {
          errorCode: partitionErrorCode,
          highWatermark,
          lastStableOffset,
          logStartOffset,
          abortedTransactions,
          records: reader.records(),
        };
      });
    });
    const answer = topics[0]?.[0];
    if (answer !== undefined && errorCode === 0) return { throttleTimeMs, ...answer };
    if (errorCode !== 0) return { throttleTimeMs, ...emptyAnswer, errorCode };
    // A throttled broker answers without partitions (KIP-219).
    if (throttleTimeMs > 0) return { throttleTimeMs, ...emptyAnswer };
    throw new RangeError("an answer without a partition");
  },
};

const emptyAnswer = {
  errorCode: 0,
  highWatermark: -1n,
  lastStableOffset: -1n,
  logStartOffset: -1n,
  abortedTransactions: [],
  records: Buffer.alloc(0),
};
