/**
 * The headers that a restore appends to every record when it is asked to, and that the strategy
 * `header-based` reads: where the record was in the source, and when. Each value is a signed
 * integer of 8 bytes, little-endian, unlike all else in Kafka: tools that read these headers, or
 * wrote them before, have it so. A record's own headers of these names stay, before ours: what
 * counts is the last one.
 *
 *   Headers => x-original-offset     INT64, little-endian
 *              x-original-timestamp  INT64, little-endian, Unix milliseconds; -1 for none
 */
import { tailBytesWithHeaders } from "#core/kafka/batch-builder.ts";
import type { RecordCursor } from "#core/kafka/records.ts";
import { VarintReader, varintBytes, writeVarint } from "#core/kafka/varint.ts";

export const originalOffsetHeader = "x-original-offset";
export const originalTimestampHeader = "x-original-timestamp";

const valueBytes = 8;
const headerCount = 2;

/** Writes the headers of one record after the other into the same bytes. */
export class OffsetHeaders {
  /** Of the record that was set last, as a batch holds them. */
  readonly bytes = Buffer.concat([
    encodedHeader(originalOffsetHeader),
    encodedHeader(originalTimestampHeader),
  ]);
  readonly count = headerCount;

  set(offset: bigint, timestamp: bigint): void {
    this.bytes.writeBigInt64LE(offset, offsetHeaderBytes - valueBytes);
    this.bytes.writeBigInt64LE(timestamp, this.bytes.length - valueBytes);
  }

  /** Bytes of the record's tail with its two headers. */
  tailBytesOf(record: RecordCursor): number {
    return tailBytesWithHeaders(record, this.bytes.length, headerCount);
  }
}

function encodedHeader(key: string): Buffer {
  const bytes = Buffer.alloc(headerBytes(key));
  const keyStart = writeVarint(bytes, 0, key.length);
  bytes.write(key, keyStart, "ascii");
  writeVarint(bytes, keyStart + key.length, valueBytes);
  return bytes;
}

function headerBytes(key: string): number {
  return varintBytes(key.length) + key.length + varintBytes(valueBytes) + valueBytes;
}

const offsetHeaderBytes = headerBytes(originalOffsetHeader);

/**
 * The most that a record grows by: the two headers (27 and 30 bytes) and one byte more each for
 * the record's length and for its number of headers.
 */
export const recordGrowthMax = offsetHeaderBytes + headerBytes(originalTimestampHeader) + 2;

const offsetKey = Buffer.from(originalOffsetHeader);

/**
 * What the record's last `x-original-offset` says, or undefined where it has none. A header of
 * another length, or with a negative number, is somebody else's and passed over.
 */
export function originalOffsetOf(record: RecordCursor): bigint | undefined {
  if (record.headerCount === 0) return undefined;
  const { body, firstHeaderStart, tailEnd } = record;
  const reader = new VarintReader(body, firstHeaderStart, tailEnd);
  let found: bigint | undefined;
  for (let left = record.headerCount; left > 0; left--) {
    const keyBytes = reader.varint();
    const keyStart = reader.position;
    reader.skip(keyBytes);
    const length = reader.varint();
    const valueStart = reader.position;
    reader.skip(length);
    if (length !== valueBytes || keyBytes !== offsetKey.length) continue;
    if (offsetKey.compare(body, keyStart, keyStart + keyBytes) !== 0) continue;
    const offset = body.readBigInt64LE(valueStart);
    if (offset >= 0n) found = offset;
  }
  return found;
}
