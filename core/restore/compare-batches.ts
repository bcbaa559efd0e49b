/** How a batch of the target is compared with the batch that should be there. */
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { batchHeaderBytes, batchSizeAt, type RecordBatchHeader } from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";

/** A batch's records, with a look at whether there is another one. */
export class RecordReader {
  readonly cursor: RecordCursor;
  #left: number;

  constructor(header: RecordBatchHeader, buffer: Buffer, position: number, at: TopicPartition) {
    const body = bodyOf(header, buffer, position, at, batchBodyBytesMax);
    this.cursor = new RecordCursor(header, body, at);
    this.#left = header.recordCount;
  }

  get isAtEnd(): boolean {
    return this.#left === 0;
  }

  next(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return this.cursor.next();
  }
}

/** Where the codec and what determines offsets and timestamps stand in a batch's header. */
const codecByte = 22;
const codecBits = 0x07;
const lastOffsetDeltaStart = 23;
const producerIdStart = 43;
const recordCountStart = 57;

/** All that the restore does not write itself is the same, to the byte. */
export function isSameBatch(expected: Buffer, found: Buffer, position: number): boolean {
  const size = expected.length;
  if (batchSizeAt(found, position) !== size) return false;
  const isSame = (start: number, end: number) =>
    expected.compare(found, position + start, position + end, start, end) === 0;
  return (
    (expected[codecByte]! & codecBits) === found[position + codecByte] &&
    isSame(lastOffsetDeltaStart, producerIdStart) &&
    isSame(recordCountStart, batchHeaderBytes) &&
    isSame(batchHeaderBytes, size)
  );
}

/** The first field in which two records differ, or undefined. */
export function differingField(
  expected: RecordCursor,
  found: RecordCursor,
  targetOffset: bigint,
): "offset" | "timestamp" | "key" | "value" | "headers" | undefined {
  if (found.offset !== targetOffset) return "offset";
  if (expected.timestamp !== found.timestamp) return "timestamp";
  if (tailOf(expected).equals(tailOf(found))) return undefined;
  if (!isSameBytes(keyBytesOf(expected), keyBytesOf(found))) return "key";
  return isSameBytes(valueBytesOf(expected), valueBytesOf(found)) ? "headers" : "value";
}

function tailOf({ body, tailStart, tailEnd }: RecordCursor): Buffer {
  return body.subarray(tailStart, tailEnd);
}

function keyBytesOf({ body, keyStart, keyBytes }: RecordCursor): Buffer | null {
  return keyBytes < 0 ? null : body.subarray(keyStart, keyStart + keyBytes);
}

function valueBytesOf({ body, valueStart, valueBytes }: RecordCursor): Buffer | null {
  return valueBytes < 0 ? null : body.subarray(valueStart, valueStart + valueBytes);
}

function isSameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}
