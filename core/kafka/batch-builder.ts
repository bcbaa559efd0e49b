/** Writing record batches: what `records.ts` reads, in the same order. */
import { checkBatch, corruptBatch } from "#core/kafka/batch-check.ts";
import { bodyOf, compressBody } from "#core/kafka/batch-compression.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import {
  attributesOffset,
  type BatchCodec,
  batchCodecs,
  batchHeaderBytes,
  crcOffset,
  logOverheadBytes,
} from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from "#core/kafka/varint.ts";

const magic = 2;
/** Length (5), Attributes (1), TimestampDelta (10) and OffsetDelta (5) at their longest. */
const recordPrefixBytesMax = 21;
const initialBytesDefault = 16 * 1024;
/** Deltas below this are handled as numbers, exactly; larger ones as bigint. */
const deltaExactMax = 2 ** 51;

/** Header fields that records do not determine. What is left out is what a producer sends. */
export interface BatchFields {
  readonly codec: BatchCodec;
  readonly baseOffset?: bigint;
  readonly partitionLeaderEpoch?: number;
  readonly producerId?: bigint;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  /** Attribute bits besides the codec's. */
  readonly flags?: number;
  /** Where compaction removed the batch's last records; else that of the last record. */
  readonly lastOffsetDelta?: number;
  /** With LogAppendTime: the append time; else the records' largest. */
  readonly maxTimestamp?: bigint;
}

/**
 * Gathers records into one batch, copying their tails (see `records.ts`) as bytes. Reused from
 * batch to batch: append, `finish`, `clear`.
 */
export class BatchBuilder {
  #buffer: Buffer;
  #end = batchHeaderBytes;
  #recordCount = 0;
  #lastOffsetDelta = -1;
  #maxTimestamp = -1n;
  #baseTimestamp: bigint | undefined;
  readonly #fixedBaseTimestamp: bigint | undefined;
  #handedOut = false;

  /**
   * `baseTimestamp` is what timestamp deltas count from, the first record's timestamp unless
   * given; a batch with a delete horizon holds that horizon there.
   */
  constructor(options: { initialBytes?: number; baseTimestamp?: bigint } = {}) {
    this.#buffer = Buffer.allocUnsafe(options.initialBytes ?? initialBytesDefault);
    this.#fixedBaseTimestamp = options.baseTimestamp;
    this.#baseTimestamp = options.baseTimestamp;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Bytes of the uncompressed batch so far, header included. */
  get sizeInBytes(): number {
    return this.#end;
  }

  /** The uncompressed records so far; a view that the next append or `clear` may change. */
  get body(): Buffer {
    return this.#buffer.subarray(batchHeaderBytes, this.#end);
  }

  /** What `sizeInBytes` will be when a record with this tail is appended next. */
  sizeWith(timestamp: bigint, tailBytes: number): number {
    const delta = this.#deltaOf(timestamp);
    const length = 1 + varlongBytes(delta) + varintBytes(this.#recordCount) + tailBytes;
    return this.#end + varintBytes(length) + length;
  }

  /**
   * Adds a record whose tail is `[tailStart, tailEnd)` of `source`. Offset deltas are counted up
   * from 0 unless given, then ascending. The difference of timestamps wraps at 64 bits, as
   * Java's does: the reader's addition wraps back.
   */
  append(
    timestamp: bigint,
    source: Uint8Array,
    tailStart: number,
    tailEnd: number,
    offsetDelta: number = this.#recordCount,
  ): void {
    const at = this.#addPrefix(timestamp, tailEnd - tailStart, offsetDelta);
    copyBytes(source, tailStart, tailEnd, this.#buffer, at);
  }

  /**
   * Adds the cursor's current record with more headers behind its own: `added` holds `addedCount`
   * of them as a batch does. All else of its tail stays as it is, to the byte.
   */
  appendWithHeaders(record: RecordCursor, added: Uint8Array, addedCount: number): void {
    const { body, timestamp, tailStart, headersStart, firstHeaderStart, tailEnd } = record;
    const tailBytes = tailBytesWithHeaders(record, added.length, addedCount);
    let at = this.#addPrefix(timestamp, tailBytes, this.#recordCount);
    const buffer = this.#buffer;
    copyBytes(body, tailStart, headersStart, buffer, at);
    at = writeVarint(buffer, at + headersStart - tailStart, record.headerCount + addedCount);
    copyBytes(body, firstHeaderStart, tailEnd, buffer, at);
    buffer.set(added, at + tailEnd - firstHeaderStart);
  }

  /**
   * The batch, its CRC computed. The caller owns it; uncompressed, it is the builder's buffer
   * itself, which `clear` then replaces. Without records it is what compaction leaves of a batch.
   */
  finish(fields: BatchFields): Buffer {
    const batch = this.#compressed(fields.codec);
    batch.writeBigInt64BE(fields.baseOffset ?? 0n, 0);
    batch.writeInt32BE(batch.length - logOverheadBytes, 8);
    batch.writeInt32BE(fields.partitionLeaderEpoch ?? -1, 12);
    batch.writeInt8(magic, 16);
    const codec = batchCodecs.indexOf(fields.codec);
    batch.writeInt16BE((fields.flags ?? 0) | codec, attributesOffset);
    batch.writeInt32BE(fields.lastOffsetDelta ?? this.#lastOffsetDelta, 23);
    batch.writeBigInt64BE(this.#baseTimestamp ?? -1n, 27);
    batch.writeBigInt64BE(fields.maxTimestamp ?? this.#maxTimestamp, 35);
    batch.writeBigInt64BE(fields.producerId ?? -1n, 43);
    batch.writeInt16BE(fields.producerEpoch ?? -1, 51);
    batch.writeInt32BE(fields.baseSequence ?? -1, 53);
    batch.writeInt32BE(this.#recordCount, 57);
    batch.writeUInt32BE(crc32c(batch.subarray(attributesOffset)), crcOffset);
    return batch;
  }

  /** Forgets the records, for the next batch. */
  clear(): void {
    if (this.#handedOut) this.#buffer = Buffer.allocUnsafe(this.#buffer.length);
    this.#handedOut = false;
    this.#end = batchHeaderBytes;
    this.#recordCount = 0;
    this.#lastOffsetDelta = -1;
    this.#maxTimestamp = -1n;
    this.#baseTimestamp = this.#fixedBaseTimestamp;
  }

  /** All of a record but its tail, for which room is left; returns where it goes. */
  #addPrefix(timestamp: bigint, tailBytes: number, offsetDelta: number): number {
    this.#baseTimestamp ??= timestamp;
    const delta = this.#deltaOf(timestamp);
    this.#reserve(recordPrefixBytesMax + tailBytes);
    const buffer = this.#buffer;
    const length = 1 + varlongBytes(delta) + varintBytes(offsetDelta) + tailBytes;
    let at = writeVarint(buffer, this.#end, length);
    buffer[at++] = 0;
    at = writeVarlong(buffer, at, delta);
    at = writeVarint(buffer, at, offsetDelta);
    this.#end = at + tailBytes;
    this.#recordCount++;
    this.#lastOffsetDelta = offsetDelta;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    return at;
  }

  #deltaOf(timestamp: bigint): number | bigint {
    const delta = BigInt.asIntN(64, timestamp - (this.#baseTimestamp ?? timestamp));
    const number = Number(delta);
    return Math.abs(number) < deltaExactMax ? number : delta;
  }

  #reserve(bytes: number): void {
    if (this.#buffer.length - this.#end >= bytes) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#end + bytes));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }

  /** Room for the header, then the body. */
  #compressed(codec: BatchCodec): Buffer {
    if (codec === "none") {
      this.#handedOut = true;
      return this.#buffer.subarray(0, this.#end);
    }
    const body = compressBody(codec, this.body);
    const batch = Buffer.allocUnsafe(batchHeaderBytes + body.length);
    body.copy(batch, batchHeaderBytes);
    return batch;
  }
}

/** Bytes of the record's tail with `addedCount` more headers of `addedBytes` in all. */
export function tailBytesWithHeaders(
  { tailStart, headersStart, headerCount, firstHeaderStart, tailEnd }: RecordCursor,
  addedBytes: number,
  addedCount: number,
): number {
  const countBytes = varintBytes(headerCount + addedCount);
  return headersStart - tailStart + countBytes + (tailEnd - firstHeaderStart) + addedBytes;
}

/** Below this many bytes a loop is quicker than a call of `set` with a view made for it. */
const loopBytesMax = 32;

function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number,
): void {
  if (end - start > loopBytesMax) {
    target.set(source.subarray(start, end), position);
    return;
  }
  for (let from = start, to = position; from < end; from++, to++) target[to] = source[from]!;
}

export interface NewRecord {
  readonly timestamp: bigint;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly {
    readonly key: string | Uint8Array;
    readonly value: Uint8Array | null;
  }[];
  /** Counted up from 0 unless given. */
  readonly offsetDelta?: number;
}

/** One batch of `records`. See `BatchBuilder` for `baseTimestamp`. */
export function encodeBatch(
  records: readonly NewRecord[],
  fields: BatchFields & { readonly baseTimestamp?: bigint },
): Buffer {
  const { baseTimestamp } = fields;
  const builder = new BatchBuilder(baseTimestamp === undefined ? {} : { baseTimestamp });
  for (const record of records) {
    const tail = encodeTail(record);
    builder.append(record.timestamp, tail, 0, tail.length, record.offsetDelta);
  }
  return builder.finish(fields);
}

function encodeTail({ key, value, headers = [] }: NewRecord): Buffer {
  const pieces = [...withLength(key), ...withLength(value), varint(headers.length)];
  for (const header of headers) {
    pieces.push(...withLength(Buffer.from(header.key)), ...withLength(header.value));
  }
  return Buffer.concat(pieces);
}

function withLength(bytes: Uint8Array | null): Uint8Array[] {
  return bytes === null ? [varint(-1)] : [varint(bytes.length), bytes];
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(varintBytes(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

/**
 * Reads an encoded batch again before it is sent: CRC, counts, dense offset deltas, maxTimestamp,
 * and that decompression gives `body` (`BatchBuilder.body`) back. Throws CorruptRecordBatchError,
 * with `at` and the offset 0: the fault would be ours or a compressor's.
 */
export function checkEncodedBatch(batch: Buffer, body: Buffer, at: TopicPartition): void {
  const header = checkBatch(batch, 0, at);
  const decoded = bodyOf(header, batch, 0, at, Math.max(body.length, 1));
  if (!decoded.equals(body)) {
    throw corruptBatch(at, header.baseOffset, "does not decompress to what was encoded");
  }
  const cursor = new RecordCursor(header, decoded, at);
  let maxTimestamp = -1n;
  for (let delta = 0; cursor.next(); delta++) {
    if (cursor.offsetDelta !== delta) {
      const problem = `was encoded with offset delta ${cursor.offsetDelta} in place of ${delta}`;
      throw corruptBatch(at, header.baseOffset, problem);
    }
    const { timestamp } = cursor;
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
  }
  const { recordCount, lastOffsetDelta } = header;
  if (lastOffsetDelta !== recordCount - 1 || header.maxTimestamp !== maxTimestamp) {
    throw corruptBatch(at, header.baseOffset, "was encoded with a wrong header");
  }
}
