/** What a record batch must fulfil before it is archived or sent: its structure and its CRC (F6). */
import { BackupError } from "#core/errors.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import {
  attributesOffset,
  batchHeaderBytes,
  logOverheadBytes,
  type RecordBatchHeader,
  readBatchHeader,
} from "#core/kafka/record-batch.ts";

/** Every format has base offset, length, four more bytes and then its magic number. */
const bytesUpToMagic = 17;
const magicOffset = 16;
const recordBatchMagic = 2;

/** A CorruptRecordBatchError that names the topic, partition and offset of the batch. */
export function corruptBatch(
  at: TopicPartition,
  baseOffset: bigint,
  problem: string,
  options: { cause?: unknown; hint?: string } = {},
): BackupError {
  const place = `record batch of ${at.topic}-${at.partition} at offset ${baseOffset}`;
  return new BackupError("CorruptRecordBatchError", `${place}: ${problem}`, {
    ...options,
    details: { topic: at.topic, partition: at.partition, offset: baseOffset },
  });
}

/**
 * Checks the batch at `position` and returns its header. Throws CorruptRecordBatchError where the
 * batch does not lie whole in `buffer`, is of another format than magic 2, counts records that it
 * has no offsets for, or fails its CRC-32C. The records are not decoded.
 */
export function checkBatch(
  buffer: Buffer,
  position: number,
  at: TopicPartition,
): RecordBatchHeader {
  const available = buffer.length - position;
  if (available < bytesUpToMagic) {
    const known = available >= 8 ? buffer.readBigInt64BE(position) : -1n;
    throw corruptBatch(at, known, `ends after ${available} bytes, within its header`);
  }
  checkMagic(buffer, position, at);
  const baseOffset = buffer.readBigInt64BE(position);
  const size = logOverheadBytes + buffer.readInt32BE(position + 8);
  if (size < batchHeaderBytes) {
    const problem = `its size of ${size} bytes is less than a header's ${batchHeaderBytes}`;
    throw corruptBatch(at, baseOffset, problem);
  }
  if (size > available) {
    throw corruptBatch(at, baseOffset, `ends after ${available} of its ${size} bytes`);
  }
  const header = readBatchHeader(buffer, position);
  checkCounts(header, at);
  const crc = crc32c(buffer.subarray(position + attributesOffset, position + size));
  if (crc !== header.crc) {
    const problem = `its CRC-32C is ${hex(header.crc)}, its bytes give ${hex(crc)}`;
    throw corruptBatch(at, baseOffset, problem);
  }
  return header;
}

function checkMagic(buffer: Buffer, position: number, at: TopicPartition): void {
  const magic = buffer.readInt8(position + magicOffset);
  if (magic === recordBatchMagic) return;
  const baseOffset = buffer.readBigInt64BE(position);
  if (magic === 0 || magic === 1) {
    // Where logs may have it, `message-sets.ts` comes first.
    throw corruptBatch(at, baseOffset, `message format ${magic} is not that of record batches`);
  }
  throw corruptBatch(at, baseOffset, `magic number ${magic} is not that of a known format`);
}

function checkCounts(header: RecordBatchHeader, at: TopicPartition): void {
  const { baseOffset, lastOffsetDelta, recordCount } = header;
  if (baseOffset < 0n) throw corruptBatch(at, baseOffset, "its base offset is negative");
  if (lastOffsetDelta < 0) {
    throw corruptBatch(at, baseOffset, `its last offset delta is ${lastOffsetDelta}`);
  }
  if (recordCount < 0 || recordCount > lastOffsetDelta + 1) {
    const offsets = lastOffsetDelta + 1;
    throw corruptBatch(at, baseOffset, `counts ${recordCount} records for ${offsets} offsets`);
  }
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, "0")}`;
}
