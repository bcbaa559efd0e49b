/** The batches that Kafka's own client made and what it read from them (test/fixtures/batches). */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { batchSizeAt } from "#core/kafka/record-batch.ts";
import type { KafkaRecord } from "#core/kafka/records.ts";

const folder = new URL("../../fixtures/batches/", import.meta.url);

/** Offset, timestamp, key, value, headers: longs as strings, bytes in hexadecimal. */
export type DescribedRecord = [
  string,
  string,
  string | null,
  string | null,
  [string, string | null][],
];

export interface JavaBatch {
  readonly name: string;
  readonly size: number;
  readonly baseOffset: string;
  readonly lastOffset: string;
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly codec: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  readonly timestampType: "CreateTime" | "LogAppendTime";
  readonly baseTimestamp: string;
  readonly maxTimestamp: string;
  readonly deleteHorizon: boolean;
  readonly transactional: boolean;
  readonly control: boolean;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly records: DescribedRecord[];
  /** A copy of its own. */
  readonly bytes: Buffer;
}

export const javaBatches: readonly JavaBatch[] = readJavaBatches();

export function javaBatch(name: string): JavaBatch {
  const found = javaBatches.find((batch) => batch.name === name);
  if (found === undefined) throw new Error(`no fixture is named ${name}`);
  return { ...found, bytes: Buffer.from(found.bytes) };
}

function readJavaBatches(): JavaBatch[] {
  const log = readFileSync(new URL("batches.bin", folder));
  const described = JSON.parse(readFileSync(new URL("batches.json", folder), "utf8"));
  let position = 0;
  return described.map((batch: Omit<JavaBatch, "bytes">) => {
    const start = position;
    position += batchSizeAt(log, start) ?? Number.NaN;
    return { ...batch, bytes: Buffer.from(log.subarray(start, position)) };
  });
}

/** A record of ours in the fixture's form. */
export function describeRecord(record: KafkaRecord): DescribedRecord {
  const headers = record.headers.map(({ key, value }): [string, string | null] => [
    hex(key) ?? "",
    hex(value),
  ]);
  const { offset, timestamp, key, value } = record;
  return [offset.toString(), timestamp.toString(), hex(key), hex(value), headers];
}

function hex(bytes: Buffer | null): string | null {
  if (bytes === null) return null;
  if (bytes.length <= 256) return bytes.toString("hex");
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
