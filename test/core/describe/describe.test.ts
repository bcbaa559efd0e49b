import { expect, test } from "vitest";
import { versionOf } from "#core/catalog/manifest-version.ts";
import { type DescribeRequest, describeBackup, restorableRanges } from "#core/describe/describe.ts";
import { deadlineAt } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import {
  firstPlannedAt,
  type SyntheticBackup,
  syntheticBackup,
  syntheticBackupId,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const hourMs = 3_600_000n;

function describeIt({ catalog }: SyntheticBackup, request: Partial<DescribeRequest> = {}) {
  const whole = { backup_id: syntheticBackupId, runs_max: 10, ...request };
  return describeBackup({ catalog }, whole, deadlineAt(systemClock, Infinity));
}

function gapOf(from_offset: bigint, to_offset: bigint) {
  return { from_offset, to_offset, reason: "retention" as const, run_id: "r", detected_at: 0n };
}

test("the restorable ranges of a lineage are its offsets less the gaps", () => {
  const ranges = (gaps: ReturnType<typeof gapOf>[]) =>
    restorableRanges({ start_offset: 10n, next_offset: 100n, gaps }).map(
      ({ from_offset, to_offset }) => [from_offset, to_offset],
    );
  expect(ranges([])).toEqual([[10n, 100n]]);
  expect(ranges([gapOf(20n, 30n), gapOf(50n, 60n)])).toEqual([
    [10n, 20n],
    [30n, 50n],
    [60n, 100n],
  ]);
  expect(ranges([gapOf(10n, 20n), gapOf(20n, 25n), gapOf(90n, 100n)])).toEqual([[25n, 90n]]);
  expect(ranges([gapOf(10n, 100n)])).toEqual([]);
  expect(restorableRanges({ start_offset: 5n, next_offset: 5n, gaps: [] })).toEqual([]);
});

test("totals of partitions add up to those of topics and of the backup", async () => {
  const backup = syntheticBackup();
  await backup.addRun({
    partitions: [
      { partition: 0, segments: [syntheticBatches(0n, 2)], dropped: { aborted: 2, control: 1 } },
      { partition: 1, segments: [syntheticBatches(0n, 3), syntheticBatches(9n, 1)] },
      { topic: "payments", segments: [syntheticBatches(7n, 1)], dropped: { empty: 4 } },
    ],
  });
  const description = await describeIt(backup);
  const [orders, payments] = description.topics;
  expect(orders).toMatchObject({
    name: "orders",
    partition_count: 2,
    totals: { segment_count: 3, batch_count: 6, record_count: 18 },
    dropped: { aborted: 2, control: 1, empty: 0 },
  });
  expect(payments).toMatchObject({ totals: { segment_count: 1, record_count: 3 } });
  expect(description).toMatchObject({
    totals: { segment_count: 4, batch_count: 7, record_count: 21 },
    dropped: { aborted: 2, control: 1, empty: 4 },
  });
  const { original_bytes, stored_bytes, ratio } = description.totals;
  expect(original_bytes).toBe(orders!.totals.original_bytes + payments!.totals.original_bytes);
  expect(ratio).toBeCloseTo(original_bytes / stored_bytes, 1);
});

test("a backup is restorable up to its newest run's plan, a topic up to the last that read it", async () => {
  const backup = syntheticBackup();
  await backup.addRun({
    partitions: [
      { segments: [syntheticBatches(0n, 1)] },
      { topic: "payments", segments: [syntheticBatches(0n, 1)] },
    ],
  });
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(3n, 1)] }] });
  const description = await describeIt(backup);
  expect(description).toMatchObject({
    first_planned_at: firstPlannedAt,
    restorable_until: firstPlannedAt + hourMs,
  });
  expect(description.topics.map(({ name, restorable_until }) => [name, restorable_until])).toEqual([
    ["orders", firstPlannedAt + hourMs],
    ["payments", firstPlannedAt],
  ]);
});

test("a partition that was never read to its planned end promises no time", async () => {
  const backup = syntheticBackup();
  const { manifest } = await backup.addRun({
    partitions: [{ segments: [syntheticBatches(0n, 1)] }],
  });
  manifest.topics[0]!.partitions[0]!.lineages[0]!.last_planned_at = -1n;
  const catalog = {
    ...backup.catalog,
    manifestVersion: async () => versionOf({ manifest, sha256: "" }, manifest.runs),
  };
  const { topics, restorable_until } = await describeIt({ ...backup, catalog });
  expect(topics[0]).not.toHaveProperty("restorable_until");
  expect(topics[0]!.partitions[0]!.lineages[0]).not.toHaveProperty("restorable_until");
  expect(restorable_until).toBe(firstPlannedAt);
});

test("K3: lineages of a partition are described apart, oldest first", async () => {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(50n, 1)] }] });
  await backup.addRun({ partitions: [{ lineage: 2, segments: [syntheticBatches(0n, 2)] }] });
  const { topics } = await describeIt(backup);
  expect(topics[0]!.partitions[0]!.lineages).toMatchObject([
    { lineage: 1, restorable: [{ from_offset: 50n, to_offset: 53n }] },
    { lineage: 2, restorable: [{ from_offset: 0n, to_offset: 6n }] },
  ]);
});

test("an older generation is described as it was", async () => {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(3n, 1)] }] });
  const older = await describeIt(backup, { generation: 1 });
  expect(older).toMatchObject({ generation: 1, run_count: 1, totals: { record_count: 3 } });
  expect(await describeIt(backup)).toMatchObject({ generation: 2, totals: { record_count: 6 } });
});

test("the newest runs are shown, also where most of them have moved to pages", async () => {
  const backup = syntheticBackup();
  for (let run = 0; run < 513; run++) await backup.addRun({ partitions: [{ segments: [] }] });
  const { runs, run_count } = await describeIt(backup, { runs_max: 300 });
  expect(run_count).toBe(513);
  expect(runs).toHaveLength(300);
  expect(runs[0]!.planned_at).toBe(firstPlannedAt + 213n * hourMs);
  expect(runs.at(-1)!.planned_at).toBe(firstPlannedAt + 512n * hourMs);
  expect((await describeIt(backup, { runs_max: 2 })).runs).toEqual(runs.slice(-2));
  expect((await describeIt(backup, { runs_max: 0 })).runs).toEqual([]);
}, 60_000);

test("a backup or generation that does not exist is not found", async () => {
  const backup = syntheticBackup();
  await expect(describeIt(backup)).rejects.toMatchObject({ name: "BackupNotFoundError" });
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  await expect(describeIt(backup, { generation: 2 })).rejects.toMatchObject({
    name: "BackupNotFoundError",
  });
});
