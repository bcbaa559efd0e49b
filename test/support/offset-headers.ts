import type { SeenRecord } from "#test/support/oracle.ts";

/** The record of the source with the headers that a restore adds, as the oracle writes them. */
export function withOffsetHeaders(record: SeenRecord): SeenRecord {
  const { offset, timestamp, content } = record;
  const own = content.slice(content.lastIndexOf("\t") + 1);
  const added =
    `${name("x-original-offset")}=${value(offset)},` +
    `${name("x-original-timestamp")}=${value(timestamp)}`;
  return { ...record, content: `${content}${own === "" ? "" : ","}${added}` };
}

function name(text: string): string {
  return `${text.length}:${Buffer.from(text).toString("hex")}`;
}

function value(number: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(number);
  return `8:${bytes.toString("hex")}`;
}
