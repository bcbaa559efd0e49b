/** Writes message sets as clients and brokers before record batches did: magic 0 and 1. */
import { crc32, gzipSync } from "node:zlib";
import { compressBody } from "#core/kafka/batch-compression.ts";

export interface OldRecord {
  readonly offset: bigint;
  /** Magic 0 has none. */
  readonly timestamp: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

export type OldCodec = "none" | "gzip" | "snappy" | "lz4";

const codecNumbers = { none: 0, gzip: 1, snappy: 2, lz4: 3 } as const;
const appendTimeBit = 8;

/** One message behind its offset and size. */
export function oldMessage(
  magic: 0 | 1,
  record: OldRecord,
  options: { readonly codec?: OldCodec; readonly appendTime?: boolean } = {},
): Buffer {
  const attributes =
    codecNumbers[options.codec ?? "none"] | (options.appendTime ? appendTimeBit : 0);
  const timestamp = Buffer.alloc(magic === 0 ? 0 : 8);
  if (magic === 1) timestamp.writeBigInt64BE(record.timestamp);
  const checked = Buffer.concat([
    Buffer.from([magic, attributes]),
    timestamp,
    withLength(record.key),
    withLength(record.value),
  ]);
  const head = Buffer.alloc(16);
  head.writeBigInt64BE(record.offset);
  head.writeInt32BE(4 + checked.length, 8);
  head.writeUInt32BE(crc32(checked), 12);
  return Buffer.concat([head, checked]);
}

/** Records as one compressed message; with `appendTime` all are of that time. */
export function oldWrapper(
  magic: 0 | 1,
  records: readonly OldRecord[],
  options: { readonly codec: Exclude<OldCodec, "none">; readonly appendTime?: bigint },
): Buffer {
  const [first, last] = [records[0]!, records.at(-1)!];
  const inner = records.map((record) =>
    oldMessage(magic, magic === 0 ? record : { ...record, offset: record.offset - first.offset }),
  );
  const set = Buffer.concat(inner);
  const value = options.codec === "gzip" ? gzipSync(set) : compressBody(options.codec, set);
  const largest = records.reduce((max, { timestamp }) => (timestamp > max ? timestamp : max), -1n);
  return oldMessage(
    magic,
    { offset: last.offset, timestamp: options.appendTime ?? largest, key: null, value },
    { codec: options.codec, appendTime: options.appendTime !== undefined },
  );
}

function withLength(bytes: Buffer | null): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes?.length ?? -1);
  return Buffer.concat([length, bytes ?? Buffer.alloc(0)]);
}
