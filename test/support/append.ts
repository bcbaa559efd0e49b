/** Record batches with the borders that a test wants, straight into a partition. */
import { setTimeout as sleep } from "node:timers/promises";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { BatchCodec } from "#core/kafka/record-batch.ts";

export interface Numbered {
  readonly topic: string;
  readonly partition?: number;
  /** Number of the first record; keys and values tell it. */
  readonly from: number;
  readonly count: number;
  readonly perBatch?: number;
  readonly codec?: BatchCodec;
  /** Values are padded to this length. */
  readonly valueBytes?: number;
  /** Of the records; 0 when not given. */
  readonly ageMs?: number;
}

/** Appends records `from` to `from + count - 1`, `perBatch` (10) in a batch. */
export async function appendNumbered(cluster: Cluster, numbered: Numbered): Promise<void> {
  const { topic, partition = 0, from, count, perBatch = 10 } = numbered;
  const { codec = "none", valueBytes = 0, ageMs = 0 } = numbered;
  for (let first = from; first < from + count; first += perBatch) {
    const length = Math.min(perBatch, from + count - first);
    const records = Array.from({ length }, (_, i) => numberedRecord(first + i, valueBytes, ageMs));
    await append(cluster, { topic, partition }, encodeBatch(records, { codec }));
  }
}

function numberedRecord(number: number, valueBytes: number, ageMs: number): NewRecord {
  return {
    timestamp: BigInt(Date.now() - ageMs),
    key: Buffer.from(`key ${number}`),
    value: Buffer.from(`record ${number} `.padEnd(valueBytes, "abcdefghijklmnop")),
    headers: [{ key: "number", value: Buffer.from(String(number)) }],
  };
}

/** A broker takes a moment to hear that it leads a topic that was just created: 20 s at most. */
const retryPauseMs = 20;
const attemptsMax = 1_000;

/** Appends one batch and returns its base offset. */
export async function append(
  cluster: Cluster,
  at: { readonly topic: string; readonly partition: number },
  batch: Buffer,
): Promise<bigint> {
  for (let attempt = 1; ; attempt++) {
    const { error, baseOffset } = await cluster.produce({ ...at, batch, timeoutMs: 10_000 });
    if (error === "NONE") return baseOffset;
    if (error !== "NOT_LEADER_OR_FOLLOWER" || attempt === attemptsMax) {
      throw new Error(`${at.topic}-${at.partition}: ${error}`);
    }
    await sleep(retryPauseMs);
  }
}

/** The number of a record that `appendNumbered` wrote, of what the oracle says of its headers. */
export function numberOf(record: { readonly content: string }): number {
  const hex = record.content.slice(record.content.lastIndexOf(":") + 1);
  return Number(Buffer.from(hex, "hex").toString());
}

/** `from` to `to - 1`. */
export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
