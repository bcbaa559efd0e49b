import type { ProduceRequest } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface ProduceResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly baseOffset: bigint;
  readonly logStartOffset: bigint;
  readonly recordErrors: readonly { readonly index: number; readonly message: string | null }[];
  readonly errorMessage: string | null;
}

const acksOfAll = -1;

/**
 * One batch of one partition a request, never in a transaction.
 *
 *   Produce Request (Version: 8) => transactional_id acks timeout_ms [topic_data]
 *     transactional_id => NULLABLE_STRING
 *     acks => INT16
 *     timeout_ms => INT32
 *     topic_data => name [partition_data]
 *       name => STRING
 *       partition_data => index records
 *         index => INT32
 *         records => RECORDS
 *
 *   Produce Response (Version: 8) => [responses] throttle_time_ms
 *     responses => name [partition_responses]
 *       name => STRING
 *       partition_responses => index error_code base_offset log_append_time_ms log_start_offset
 *           [record_errors] error_message
 *         index => INT32
 *         error_code => INT16
 *         base_offset, log_append_time_ms, log_start_offset => INT64
 *         record_errors => batch_index batch_index_error_message     (KIP-467)
 *           batch_index => INT32
 *           batch_index_error_message => NULLABLE_STRING
 *         error_message => NULLABLE_STRING
 *     throttle_time_ms => INT32
 */
export const produce: Api<ProduceRequest, ProduceResponse> = {
  name: "Produce",
  key: 0,
  version: 8,
  flexible: false,
  encode(request, writer) {
    writer.nullableString(null).int16(acksOfAll).int32(request.timeoutMs);
    writer.array([request.topic], (topic) => {
      writer.string(topic).array([request.partition], (partition) => {
        writer.int32(partition).records(request.batch);
      });
    });
  },
  decode(reader) {
    const topics = reader.array(() => {
      reader.string();
      return reader.array(() => {
        reader.int32();
        const errorCode = reader.int16();
        const baseOffset = reader.int64();
        reader.int64();
        const logStartOffset = reader.int64();
        const recordErrors = reader.array(() => ({
          index: reader.int32(),
          message: reader.nullableString(),
        }));
        const errorMessage = reader.nullableString();
        return { errorCode, baseOffset, logStartOffset, recordErrors, errorMessage };
      });
    });
    const answer = topics[0]?.[0];
    if (answer === undefined) throw new RangeError("an answer without a partition");
    return { throttleTimeMs: reader.int32(), ...answer };
  },
};
