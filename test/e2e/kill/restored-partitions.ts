/** What a restore promised itself and recorded, held against what Kafka's own consumer sees. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import { type PartitionResult, restoreCheckpoint } from "#core/restore/documents.ts";
import {
  decodeOffsetRuns,
  mergeOffsetRuns,
  type OffsetRun,
  translateOffset,
} from "#core/restore/offset-map.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, restorePartitionFolder } from "#core/storage/keys.ts";
import { collect } from "#test/support/collect.ts";
import type { SeenRecord } from "#test/support/oracle.ts";

export interface RecordedRestore {
  readonly storage: StorageBackend;
  readonly backupId: string;
  readonly restoreId: string;
}

/** All parts of a partition's offset map, as its checkpoints name them. */
export async function offsetMapOf(
  { storage, backupId, restoreId }: RecordedRestore,
  { target_topic, target_partition }: PartitionResult,
): Promise<OffsetRun[]> {
  const folder = inBackup(
    backupId,
    restorePartitionFolder(restoreId, target_topic, target_partition),
  );
  const parts: OffsetRun[][] = [];
  for (const { key } of await collect(storage.list(`${folder}checkpoint-`))) {
    const { sequence, map } = restoreCheckpoint.parse(
      JSON.parse((await storage.get(key)).toString()),
    );
    expect(sequence).toBe(parts.length);
    const bytes = await storage.get(`${folder}${map.name}`);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(map.sha256);
    const runs = decodeOffsetRuns(bytes, map.name);
    expect(runs.length).toBe(map.run_count);
    parts.push(runs);
  }
  return mergeOffsetRuns(parts);
}

/** Offsets left aside: nothing lost, doubled or reordered, and nothing beside it (R1, F2). */
export function expectSameRecords(
  source: readonly SeenRecord[],
  restored: readonly SeenRecord[],
  { start_offset, end_offset, record_count }: PartitionResult,
): void {
  expect(source.length).toBeGreaterThan(0);
  const visible = ({ timestamp, content }: SeenRecord) => `${timestamp}\t${content}`;
  expect(restored.map(visible)).toEqual(source.map(visible));
  expect(restored.map(({ offset }) => offset)).toEqual(
    restored.map((_, i) => start_offset + BigInt(i)),
  );
  expect(record_count).toBe(BigInt(source.length));
  expect(end_offset).toBe(start_offset + record_count);
}

/** Every source offset, also one that a consumer never sees, leads to the next record (R3). */
export function expectCompleteMap(
  runs: readonly OffsetRun[],
  source: readonly SeenRecord[],
  { start_offset, end_offset, source_end_offset }: PartitionResult,
): void {
  const counted = runs.reduce((sum, { count }) => sum + count, 0n);
  expect(counted).toBe(BigInt(source.length));
  let next = 0;
  const wrong: bigint[] = [];
  for (let offset = 0n; offset <= source_end_offset; offset++) {
    while (next < source.length && source[next]!.offset < offset) next++;
    const translated = translateOffset(runs, offset, end_offset);
    if (translated !== start_offset + BigInt(next)) wrong.push(offset);
  }
  expect(wrong).toEqual([]);
}
