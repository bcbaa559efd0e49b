/**
 * Message sets, what Kafka wrote before record batches (magic 0 until 0.10, magic 1 until 0.11,
 * KIP-32), made into record batches. Brokers hand them out as they lie in their old segments.
 *
 *   MessageSet => [Offset INT64  MessageSize INT32  Message]
 *   Message =>
 *     Crc          UINT32   CRC-32 (zlib's) of all that follows it
 *     Magic        INT8
 *     Attributes   INT8     codec: bits 0-2; timestamp type: bit 3 (magic 1)
 *     Timestamp    INT64    (magic 1 alone) -1 for none
 *     KeyLength    INT32    -1 for null
 *     Key          BYTES
 *     ValueLength  INT32    -1 for null
 *     Value        BYTES    of a compressed message: a message set, compressed
 *
 * A compressed message, a *wrapper*, bears the offset of its last inner message. Inner offsets are
 * absolute in magic 0; in magic 1 they are relative, and the last one stands for the wrapper's
 * (KIP-31). With LogAppendTime all inner messages have the wrapper's timestamp. Holes that
 * compaction left stay holes.
 *
 * A wrapper becomes one batch of the same codec, consecutive plain messages become plain ones. Keys,
 * values, offsets, timestamps and their type stay; magic 0 has no timestamps, which is -1.
 */
import { crc32 } from "node:zlib";
import { isBackupError } from "#core/errors.ts";
import { BatchBuilder } from "#core/kafka/batch-builder.ts";
import { corruptBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, decompressBody } from "#core/kafka/batch-compression.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import {
  type BatchCodec,
  batchCodecs,
  batchSizeAt,
  codecMask,
  logAppendTimeBit,
  logOverheadBytes,
} from "#core/kafka/record-batch.ts";
import { varintBytes, writeVarint } from "#core/kafka/varint.ts";

/** Behind offset, size and CRC, as in a record batch; what ends before it is neither. */
const magicOffset = 16;
const crcOffset = 12;
/** Crc, Magic, Attributes, KeyLength and ValueLength; with magic 1 Timestamp too. */
const messageBytesMin = { 0: 14, 1: 22 } as const;
/**
 * Plain messages are gathered up to here: far below the 1 MiB that topics accept unless they are
 * told otherwise.
 */
const gatheredBytesMax = 256 * 1024;
const offsetDeltaMax = 2n ** 31n - 1n;

type OldMagic = 0 | 1;

/** One message as it lies in a buffer. */
interface Message {
  readonly offset: bigint;
  readonly magic: OldMagic;
  readonly codec: BatchCodec;
  readonly isAppendTime: boolean;
  readonly timestamp: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

export interface ConversionOptions {
  /** No batch of plain messages reaches across this offset. */
  readonly border: bigint;
}

/**
 * What a fetch brought, all of it as record batches; the same buffer where it already is. A part of
 * a message or batch at the end stays. A damaged message is thrown as CorruptRecordBatchError when
 * nothing good lies before it, else what lies before it is returned alone.
 */
export function withRecordBatches(
  records: Buffer,
  at: TopicPartition,
  options: ConversionOptions,
): Buffer {
  if (!hasMessages(records)) return records;
  const converter = new Converter(at, options.border);
  let position = 0;
  try {
    for (;;) {
      const size = batchSizeAt(records, position);
      if (size === undefined || size <= magicOffset) break;
      const entry = records.subarray(position, position + size);
      if (isMessage(entry)) converter.add(entry);
      else converter.keep(entry);
      position += size;
    }
  } catch (error) {
    const done = converter.finish();
    if (!isBackupError(error, "CorruptRecordBatchError") || done.length === 0) throw error;
    return Buffer.concat(done);
  }
  return Buffer.concat([...converter.finish(), records.subarray(position)]);
}

function hasMessages(records: Buffer): boolean {
  for (let position = 0; ; ) {
    const size = batchSizeAt(records, position);
    if (size === undefined || size <= magicOffset) return false;
    if (isMessage(records.subarray(position, position + size))) return true;
    position += size;
  }
}

function isMessage(entry: Buffer): boolean {
  const magic = entry[magicOffset]!;
  return magic === 0 || magic === 1;
}

class Converter {
  readonly #at: TopicPartition;
  readonly #border: bigint;
  readonly #done: Buffer[] = [];
  readonly #builder = new BatchBuilder({ initialBytes: gatheredBytesMax });
  #first: Message | undefined;
  #lastOffset = -1n;
  /** A record's tail, written anew for each. */
  #tail = Buffer.allocUnsafe(1024);

  constructor(at: TopicPartition, border: bigint) {
    this.#at = at;
    this.#border = border;
  }

  /** A record batch that needs no conversion. */
  keep(batch: Buffer): void {
    this.#flush();
    this.#done.push(batch);
  }

  add(entry: Buffer): void {
    const message = readMessage(entry, this.#at);
    if (message.codec === "none") {
      this.#gather(message);
      return;
    }
    this.#flush();
    for (const inner of innerMessages(message, this.#at)) this.#append(inner);
    this.#flush(message.codec);
  }

  /** All batches so far. */
  finish(): Buffer[] {
    this.#flush();
    return this.#done;
  }

  #gather(message: Message): void {
    if (this.#first !== undefined && message.offset <= this.#lastOffset) {
      const problem = `a message of offset ${message.offset} lies behind ${this.#lastOffset}`;
      throw corruptBatch(this.#at, message.offset, problem);
    }
    if (this.#first !== undefined && !this.#fits(this.#first, message)) this.#flush();
    this.#append(message);
  }

  /** A batch has one timestamp type, and with LogAppendTime one time for all its records. */
  #fits(first: Message, message: Message): boolean {
    const { offset, isAppendTime, timestamp, key, value } = message;
    const bytes = (key?.length ?? 0) + (value?.length ?? 0);
    return (
      first.isAppendTime === isAppendTime &&
      (!isAppendTime || first.timestamp === timestamp) &&
      first.offset < this.#border === offset < this.#border &&
      offset - first.offset <= offsetDeltaMax &&
      this.#builder.sizeInBytes + bytes <= gatheredBytesMax
    );
  }

  #append(message: Message): void {
    const { offset, timestamp } = message;
    this.#first ??= message;
    // Before the tail is handed over: a longer one may be another buffer.
    const tailEnd = this.#writeTail(message);
    const delta = Number(offset - this.#first.offset);
    this.#builder.append(timestamp, this.#tail, 0, tailEnd, delta);
    this.#lastOffset = offset;
  }

  /** Key, value and no headers, as `records.ts` has them; returns the end. */
  #writeTail({ key, value }: Message): number {
    const [keyBytes, valueBytes] = [key?.length ?? -1, value?.length ?? -1];
    const bytes =
      varintBytes(keyBytes) + (key?.length ?? 0) + varintBytes(valueBytes) + (value?.length ?? 0);
    if (this.#tail.length < bytes + 1) this.#tail = Buffer.allocUnsafe(2 * (bytes + 1));
    const tail = this.#tail;
    let end = writeVarint(tail, 0, keyBytes);
    end += key?.copy(tail, end) ?? 0;
    end = writeVarint(tail, end, valueBytes);
    end += value?.copy(tail, end) ?? 0;
    return writeVarint(tail, end, 0);
  }

  #flush(codec: BatchCodec = "none"): void {
    const first = this.#first;
    if (first === undefined) return;
    const times = first.isAppendTime
      ? { flags: logAppendTimeBit, maxTimestamp: first.timestamp }
      : {};
    this.#done.push(this.#builder.finish({ codec, baseOffset: first.offset, ...times }));
    this.#builder.clear();
    this.#first = undefined;
  }
}

function readMessage(entry: Buffer, at: TopicPartition): Message {
  const offset = entry.readBigInt64BE(0);
  const magic = entry[magicOffset] as OldMagic;
  const refuse = (problem: string) =>
    corruptBatch(at, offset, `message format ${magic}: ${problem}`);
  if (entry.length < logOverheadBytes + messageBytesMin[magic]) {
    throw refuse(`its size of ${entry.length} bytes is less than a message's`);
  }
  const crc = entry.readUInt32BE(crcOffset);
  const computed = crc32(entry.subarray(magicOffset));
  if (crc !== computed) {
    throw refuse(`its CRC-32 is ${hex(crc)}, its bytes give ${hex(computed)}`);
  }
  const attributes = entry[magicOffset + 1]!;
  const codec = batchCodecs[attributes & codecMask];
  // zstd came with record batches.
  if (codec === undefined || codec === "zstd") {
    throw refuse(`it has no compression codec ${attributes & codecMask}`);
  }
  const timestampAt = magicOffset + 2;
  const keyAt = magic === 0 ? timestampAt : timestampAt + 8;
  const key = bytesAt(entry, keyAt);
  const valueAt = keyAt + 4 + (key?.length ?? 0);
  const value = key === undefined ? undefined : bytesAt(entry, valueAt);
  const end = valueAt + 4 + (value?.length ?? 0);
  if (key === undefined || value === undefined || end !== entry.length) {
    throw refuse("its key and value do not fill it");
  }
  return {
    offset,
    magic,
    codec,
    isAppendTime: magic === 1 && (attributes & logAppendTimeBit) !== 0,
    timestamp: magic === 0 ? -1n : entry.readBigInt64BE(timestampAt),
    key,
    value,
  };
}

/** Undefined where they do not lie within the message. */
function bytesAt(entry: Buffer, position: number): Buffer | null | undefined {
  if (position + 4 > entry.length) return undefined;
  const length = entry.readInt32BE(position);
  if (length === -1) return null;
  const start = position + 4;
  if (length < 0 || start + length > entry.length) return undefined;
  return entry.subarray(start, start + length);
}

/** The messages of a wrapper with the offsets and timestamps that they have by it. */
function innerMessages(wrapper: Message, at: TopicPartition): Message[] {
  const { offset, magic, codec, value } = wrapper;
  const refuse = (problem: string) =>
    corruptBatch(at, offset, `message format ${magic}, compressed: ${problem}`);
  if (codec === "none" || value === null) throw refuse("it has no value");
  const set = decompressBody(codec, value, { ...at, offset }, batchBodyBytesMax);
  const messages: Message[] = [];
  for (let position = 0; position < set.length; ) {
    const size = batchSizeAt(set, position);
    if (size === undefined || size <= magicOffset) throw refuse("it ends in a part");
    const inner = readMessage(set.subarray(position, position + size), at);
    if (inner.magic !== magic) throw refuse(`it holds one of message format ${inner.magic}`);
    if (inner.codec !== "none") throw refuse("it holds a compressed one");
    if (inner.offset <= (messages.at(-1)?.offset ?? -1n)) throw refuse("its offsets fall");
    messages.push(inner);
    position += size;
  }
  const last = messages.at(-1);
  if (last === undefined) throw refuse("it holds none");
  if (last.offset - messages[0]!.offset > offsetDeltaMax) throw refuse("it spans too many offsets");
  const base = magic === 1 ? baseOfRelative(offset, last.offset) : 0n;
  if (base < 0n) throw refuse(`its offset is less than ${last.offset}, its last one's`);
  const { isAppendTime, timestamp } = wrapper;
  return messages.map((inner) => ({
    ...inner,
    offset: base + inner.offset,
    isAppendTime,
    timestamp: isAppendTime ? timestamp : inner.timestamp,
  }));
}

/**
 * What inner offsets count from. A producer's wrapper that no broker has numbered bears 0, and some
 * clients numbered its messages all the same: as Java's client does, they count from 0 then.
 */
function baseOfRelative(wrapperOffset: bigint, lastInnerOffset: bigint): bigint {
  return wrapperOffset === 0n ? 0n : wrapperOffset - lastInnerOffset;
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, "0")}`;
}
