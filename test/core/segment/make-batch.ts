import { crc32c } from "#core/kafka/crc32c.ts";
import { type BatchCodec, batchCodecs, batchHeaderBytes } from "#core/kafka/record-batch.ts";

export interface BatchFields {
  readonly baseOffset: bigint;
  /** What follows the header; a reader of segments never looks into it. */
  readonly body: Uint8Array;
  readonly codec?: BatchCodec;
  readonly recordCount?: number;
  readonly lastOffsetDelta?: number;
  readonly maxTimestamp?: bigint;
  readonly leaderEpoch?: number;
}

/** A record batch with a right header and CRC around any body. */
export function makeBatch(fields: BatchFields): Buffer {
  const recordCount = fields.recordCount ?? 1;
  const batch = Buffer.alloc(batchHeaderBytes + fields.body.length);
  batch.writeBigInt64BE(fields.baseOffset, 0);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(fields.leaderEpoch ?? 0, 12);
  batch.writeInt8(2, 16);
  batch.writeInt16BE(batchCodecs.indexOf(fields.codec ?? "none"), 21);
  batch.writeInt32BE(fields.lastOffsetDelta ?? Math.max(recordCount - 1, 0), 23);
  batch.writeBigInt64BE(fields.maxTimestamp ?? 0n, 27);
  batch.writeBigInt64BE(fields.maxTimestamp ?? 0n, 35);
  batch.writeBigInt64BE(-1n, 43);
  batch.writeInt16BE(-1, 51);
  batch.writeInt32BE(-1, 53);
  batch.writeInt32BE(recordCount, 57);
  batch.set(fields.body, batchHeaderBytes);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}
