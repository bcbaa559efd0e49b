/**
 * Reading the records of a batch's decompressed body (magic 2, KIP-98):
 *
 *   Record =>                            Header =>
 *     Length          VARINT               KeyLength    VARINT
 *     Attributes      INT8, unused         Key          UTF-8
 *     TimestampDelta  VARLONG              ValueLength  VARINT, negative for null
 *     OffsetDelta     VARINT               Value        BYTES
 *     KeyLength       VARINT, negative for null
 *     Key             BYTES
 *     ValueLength     VARINT, negative for null
 *     Value           BYTES
 *     HeaderCount     VARINT
 *     Headers         [Header]
 *
 * Length counts the bytes after itself. From KeyLength to the end, here the *tail*, a record does
 * not depend on its batch: re-encoding copies it as bytes.
 */
import { corruptBatch } from "#core/kafka/batch-check.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { isLogAppendTime, type RecordBatchHeader } from "#core/kafka/record-batch.ts";
import { VarintReader } from "#core/kafka/varint.ts";

/**
 * Steps through the records of one batch without allocating for each. After `next()` returned
 * true the fields describe the current record; positions are into `body`.
 *
 * As strict as Java's consumer: each record fills its declared length exactly, the body holds
 * RecordCount records and nothing more, else CorruptRecordBatchError. Offset deltas are taken as
 * they are: brokers keep odd ones of uncompressed batches, and consumers read them.
 */
export class RecordCursor {
  readonly body: Buffer;
  offsetDelta = -1;
  tailStart = 0;
  /** Exclusive. */
  tailEnd = 0;
  keyStart = 0;
  /** Negative for null. */
  keyBytes = -1;
  valueStart = 0;
  /** Negative for null. */
  valueBytes = -1;
  /** Where the HeaderCount is; the headers end at `tailEnd`. */
  headersStart = 0;
  headerCount = 0;
  /** Behind the HeaderCount. */
  firstHeaderStart = 0;
  #timestampDelta: number | bigint = 0;
  readonly #header: RecordBatchHeader;
  readonly #at: TopicPartition;
  readonly #reader: VarintReader;
  readonly #appendTime: boolean;
  #left: number;

  constructor(header: RecordBatchHeader, body: Buffer, at: TopicPartition) {
    this.body = body;
    this.#header = header;
    this.#at = at;
    this.#reader = new VarintReader(body);
    this.#appendTime = isLogAppendTime(header);
    this.#left = header.recordCount;
  }

  /** Moves to the next record; false, for good, after the last one. */
  next(): boolean {
    try {
      if (this.#left > 0) {
        this.#left--;
        this.#readRecord(this.#reader);
        return true;
      }
      const remaining = this.#reader.end - this.#reader.position;
      if (remaining > 0) throw new RangeError(`has ${remaining} bytes after the last record`);
      return false;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const { recordCount } = this.#header;
      const problem = `record ${recordCount - this.#left} of ${recordCount} ${error.message}`;
      throw corruptBatch(this.#at, this.#header.baseOffset, problem);
    }
  }

  /** As a consumer sees it: the batch's maxTimestamp with LogAppendTime, else the record's own. */
  get timestamp(): bigint {
    if (this.#appendTime) return this.#header.maxTimestamp;
    return BigInt.asIntN(64, this.#header.baseTimestamp + BigInt(this.#timestampDelta));
  }

  get offset(): bigint {
    return this.#header.baseOffset + BigInt(this.offsetDelta);
  }

  #readRecord(reader: VarintReader): void {
    const length = reader.varint();
    const start = reader.position;
    const end = start + length;
    if (length < 0 || end > reader.end) {
      throw new RangeError(`has a length of ${length} where ${reader.end - start} bytes are`);
    }
    reader.byte();
    this.#timestampDelta = reader.varlong();
    this.offsetDelta = reader.varint();
    this.tailStart = reader.position;
    this.tailEnd = end;
    this.keyBytes = reader.varint();
    this.keyStart = reader.position;
    reader.skip(this.keyBytes);
    this.valueBytes = reader.varint();
    this.valueStart = reader.position;
    reader.skip(this.valueBytes);
    this.headersStart = reader.position;
    this.headerCount = headerCount(reader, end);
    this.firstHeaderStart = reader.position;
    skipHeaders(reader, this.headerCount);
    if (reader.position !== end) {
      throw new RangeError(`has a length of ${length}, its fields ${reader.position - start}`);
    }
  }
}

function skipHeaders(reader: VarintReader, count: number): void {
  for (let i = 0; i < count; i++) {
    const keyBytes = reader.varint();
    if (keyBytes < 0) throw new RangeError("has a header without a key");
    reader.skip(keyBytes);
    reader.skip(reader.varint());
  }
}

function headerCount(reader: VarintReader, end: number): number {
  const count = reader.varint();
  if (count < 0 || count > end - reader.position) {
    throw new RangeError(`has a header count of ${count}`);
  }
  return count;
}

/** A record in full; buffers are views of the body. */
export interface KafkaRecord {
  readonly offset: bigint;
  /** Unix milliseconds; -1 for none. */
  readonly timestamp: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** In the order of the record, repeated keys included. */
  readonly headers: readonly RecordHeader[];
}

export interface RecordHeader {
  /** UTF-8 by the protocol, but kept as it came. */
  readonly key: Buffer;
  readonly value: Buffer | null;
}

/** All records of a decompressed body. Throws CorruptRecordBatchError. */
export function decodeRecords(
  header: RecordBatchHeader,
  body: Buffer,
  at: TopicPartition,
): KafkaRecord[] {
  const records: KafkaRecord[] = [];
  const cursor = new RecordCursor(header, body, at);
  while (cursor.next()) records.push(recordOf(cursor));
  return records;
}

/** The cursor's current record. */
export function recordOf(cursor: RecordCursor): KafkaRecord {
  return {
    offset: cursor.offset,
    timestamp: cursor.timestamp,
    key: bytesOrNull(cursor.body, cursor.keyStart, cursor.keyBytes),
    value: bytesOrNull(cursor.body, cursor.valueStart, cursor.valueBytes),
    headers: decodeHeaders(cursor.body, cursor.headersStart, cursor.tailEnd),
  };
}

function decodeHeaders(body: Buffer, start: number, end: number): RecordHeader[] {
  const reader = new VarintReader(body, start, end);
  const headers: RecordHeader[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const keyBytes = reader.varint();
    const key = body.subarray(reader.position, reader.position + keyBytes);
    reader.skip(keyBytes);
    const valueBytes = reader.varint();
    const value = bytesOrNull(body, reader.position, valueBytes);
    reader.skip(valueBytes);
    headers.push({ key, value });
  }
  return headers;
}

function bytesOrNull(body: Buffer, start: number, length: number): Buffer | null {
  return length < 0 ? null : body.subarray(start, start + length);
}
