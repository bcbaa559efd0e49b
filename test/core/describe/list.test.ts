import { expect, test } from "vitest";
import { listBackups } from "#core/describe/list.ts";
import { deadlineAt } from "#core/runtime.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import { collect } from "#test/support/collect.ts";
import {
  firstPlannedAt,
  syntheticBackup,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const hourMs = 3_600_000;

test("every backup has its line: the sound, the damaged and the one that was never committed", async () => {
  const storage = openMemory();
  const run = { partitions: [{ segments: [syntheticBatches(0n, 2)] }] };
  const sound = syntheticBackup(storage, "sound");
  await sound.addRun(run);
  await sound.addRun({ partitions: [{ partition: 1, segments: [syntheticBatches(0n, 1)] }] });
  await syntheticBackup(storage, "damaged").addRun(run);
  await storage.put("damaged/manifests/00000001.json", Buffer.from("{"));
  await syntheticBackup(storage, "interrupted").interruptRun(run);
  const clock = { ...systemClock, nowMs: () => Number(firstPlannedAt) + 3 * hourMs };
  const deps = { catalog: sound.catalog, clock };
  const backups = await collect(listBackups(deps, deadlineAt(systemClock, Infinity)));
  expect(backups).toMatchObject([
    { status: "unreadable", backup_id: "damaged", error: "CorruptManifestError" },
    { status: "uncommitted", backup_id: "interrupted" },
    {
      status: "ready",
      backup_id: "sound",
      generation: 2,
      run_count: 2,
      topic_count: 1,
      partition_count: 2,
      record_count: 9,
      first_planned_at: firstPlannedAt,
      last_planned_at: firstPlannedAt + BigInt(hourMs),
      age_ms: 2 * hourMs,
    },
  ]);
});

test("an empty location has no backups", async () => {
  const { catalog } = syntheticBackup();
  const deps = { catalog, clock: systemClock };
  expect(await collect(listBackups(deps, deadlineAt(systemClock, Infinity)))).toEqual([]);
});
