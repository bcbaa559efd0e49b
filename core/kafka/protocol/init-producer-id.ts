import type { Api } from "#core/kafka/protocol/wire.ts";

/** Only transactions have a timeout; the broker checks nothing without a transactional id. */
const noTransactionTimeoutMs = 0x7fffffff;

/**
 *   InitProducerId Request (Version: 1) => transactional_id transaction_timeout_ms
 *     transactional_id => NULLABLE_STRING
 *     transaction_timeout_ms => INT32
 *
 *   InitProducerId Response (Version: 1) => throttle_time_ms error_code producer_id producer_epoch
 *     throttle_time_ms => INT32
 *     error_code => INT16
 *     producer_id => INT64
 *     producer_epoch => INT16
 */
export const initProducerId: Api<
  undefined,
  {
    readonly throttleTimeMs: number;
    readonly errorCode: number;
    readonly producerId: bigint;
    readonly producerEpoch: number;
  }
> = {
  name: "InitProducerId",
  key: 22,
  version: 1,
  flexible: false,
  encode(_request, writer) {
    writer.nullableString(null).int32(noTransactionTimeoutMs);
  },
  decode(reader) {
    return {
      throttleTimeMs: reader.int32(),
      errorCode: reader.int16(),
      producerId: reader.int64(),
      producerEpoch: reader.int16(),
    };
  },
};
