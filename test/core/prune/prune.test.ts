import { expect, test } from "vitest";
import { documentBytes } from "#core/catalog/documents.ts";
import { openObjectCatalog } from "#core/catalog/objects.ts";
import { graceDefaultMs, type PruneRequest, pruneOrphans } from "#core/prune/prune.ts";
import { deadlineAt } from "#core/runtime.ts";
import { openMemory } from "#core/storage/memory.ts";
import { runValidation } from "#core/validate/run.ts";
import { collect } from "#test/support/collect.ts";
import {
  firstPlannedAt,
  type SyntheticBackup,
  syntheticBackup,
  syntheticBackupId,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const hourMs = 3_600_000;
const segmentFolder = `${syntheticBackupId}/topics/orders/partition=0`;
const orphanKey = `${segmentFolder}/segment-00000000000000000900-dead.zst`;

/** A backup whose store has a clock of its own, which tests move; everything is written at 0 h. */
async function agedBackup() {
  const time = { nowMs: Number(firstPlannedAt) };
  const storage = openMemory(undefined, () => time.nowMs);
  const backup = syntheticBackup(storage);
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 2)] }] });
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(6n, 2)] }] });
  const passHours = (hours: number) => {
    time.nowMs += hours * hourMs;
  };
  return { backup, storage, passHours, clock: { ...backup.clock, nowMs: () => time.nowMs } };
}

type AgedBackup = Awaited<ReturnType<typeof agedBackup>>;

function prune({ backup, clock }: AgedBackup, request: Partial<PruneRequest> = {}) {
  const whole = {
    backup_id: backup.backupId,
    execute: true,
    grace_ms: graceDefaultMs,
    ...request,
  };
  const deps = { storage: backup.storage, catalog: backup.catalog, clock };
  return pruneOrphans(deps, whole, deadlineAt(clock, Infinity));
}

async function keysOf({ storage }: Pick<SyntheticBackup, "storage">): Promise<string[]> {
  const keys = (await collect(storage.list(""))).map(({ key }) => key);
  return keys.filter((key) => !key.includes("/state/lease/"));
}

async function isSound({ backup, clock }: AgedBackup): Promise<boolean> {
  const request = { backup_id: backup.backupId, level: "deep" as const };
  const report = await runValidation(backup, request, deadlineAt(clock, Infinity));
  return report.status === "sound" && report.orphans.objects === 0;
}

test("C6: of a backup without orphans nothing is removed, however old it is", async () => {
  const aged = await agedBackup();
  aged.passHours(10_000);
  const before = await keysOf(aged);
  const result = await prune(aged, { grace_ms: 0 });
  expect(result).toMatchObject({ executed: true, generation: 2, orphans: [] });
  expect(await keysOf(aged)).toEqual(before);
});

test("C3: an orphan is listed with size and age, and removed only when asked to", async () => {
  const aged = await agedBackup();
  const before = await keysOf(aged);
  await aged.storage.put(orphanKey, Buffer.alloc(1234));
  aged.passHours(25);
  const dry = await prune(aged, { execute: false });
  expect(dry).toMatchObject({
    executed: false,
    orphans: [
      { key: orphanKey, kind: "segment", bytes: 1234, age_ms: 25 * hourMs, fate: "would_remove" },
    ],
    counts: { would_remove: { objects: 1, bytes: 1234 }, removed: { objects: 0, bytes: 0 } },
  });
  expect(await keysOf(aged)).toContain(orphanKey);

  const executed = await prune(aged);
  expect(executed.counts).toMatchObject({ removed: { objects: 1, bytes: 1234 } });
  expect(await keysOf(aged)).toEqual(before);
  expect(await isSound(aged)).toBe(true);
});

test("an orphan younger than the grace time is kept, by the store's own clock (C7)", async () => {
  const aged = await agedBackup();
  aged.passHours(24);
  await aged.storage.put(orphanKey, Buffer.alloc(10));
  aged.passHours(23);
  const aheadByYears = { ...aged, clock: { ...aged.clock, nowMs: () => 4e12 } };
  const result = await prune(aheadByYears);
  expect(result.orphans).toMatchObject([{ key: orphanKey, fate: "young", age_ms: 23 * hourMs }]);
  expect(await keysOf(aged)).toContain(orphanKey);
  expect((await prune(aged, { grace_ms: hourMs })).counts.removed.objects).toBe(1);
});

test("C3: what an interrupted run has checkpointed is kept, what it had not is removed", async () => {
  const aged = await agedBackup();
  await aged.backup.interruptRun({ partitions: [{ segments: [syntheticBatches(12n, 2)] }] });
  const before = await keysOf(aged);
  await aged.storage.put(orphanKey, Buffer.alloc(10));
  aged.passHours(100);
  const result = await prune(aged);
  expect(result.orphans.map(({ key }) => key)).toEqual([orphanKey]);
  expect(await keysOf(aged)).toEqual(before);
});

test("documents that an interrupted run wrote before its commit are kept while it is open", async () => {
  const aged = await agedBackup();
  const plan = await aged.backup.interruptRun({
    partitions: [{ segments: [syntheticBatches(12n, 1)] }],
  });
  const { backupId, storage } = aged.backup;
  const planKey = `${backupId}/state/runs/${plan.state_id}/plan.json`;
  await storage.put(planKey, documentBytes(plan));
  await aged.backup.catalog.writeClusterDocument(backupId, plan.run_id, plan.cluster);
  const documentKey = `${backupId}/runs/${plan.run_id}/cluster.json`;
  aged.passHours(100);
  expect((await prune(aged)).orphans).toEqual([]);

  // Planned anew: the documents of the former plan are nobody's.
  await storage.put(planKey, documentBytes({ ...plan, run_id: "run-again" }));
  expect((await prune(aged)).orphans).toMatchObject([
    { key: documentKey, kind: "run_document", fate: "removed" },
  ]);
});

test("checkpoints of a run that was committed, or never can be, are removed", async () => {
  const aged = await agedBackup();
  const { backupId, catalog } = aged.backup;
  const stale = { run_id: "stale", base_generation: 1, started_at: 0n };
  await catalog.writeOpenRun(backupId, stale);
  aged.passHours(100);
  const result = await prune(aged);
  expect(result.orphans).toMatchObject([{ kind: "run_state", fate: "removed" }]);
  expect(await catalog.openRun(backupId)).toBeUndefined();
});

test("what this software did not make, or may name again, is listed and never removed", async () => {
  const aged = await agedBackup();
  const foreign = `${syntheticBackupId}/notes.txt`;
  const page = `${syntheticBackupId}/manifests/runs-00000001-00000256.json`;
  const restore = `${syntheticBackupId}/restores/r1/intent.json`;
  const resets = `${syntheticBackupId}/three-phase/t1/resets/00000001/plan.json`;
  const other = `${segmentFolder}/segment.tmp`;
  for (const key of [foreign, page, restore, resets, other])
    await aged.storage.put(key, Buffer.alloc(5));
  const before = await keysOf(aged);
  aged.passHours(10_000);
  const result = await prune(aged, { grace_ms: 0 });
  expect(result.orphans.map(({ key, kind, fate }) => [key, kind, fate])).toEqual([
    [page, "run_page", "kept"],
    [foreign, "foreign", "kept"],
    [other, "foreign", "kept"],
  ]);
  expect(await keysOf(aged)).toEqual(before);
});

test("C6: nothing is removed while another run holds the lease", async () => {
  const aged = await agedBackup();
  await aged.storage.put(orphanKey, Buffer.alloc(5));
  aged.passHours(100);
  const scope = { backupId: aged.backup.backupId, purpose: "backup" };
  const lease = await aged.backup.catalog.acquireLease(scope, 0, new AbortController().signal);
  // Whoever waits for the lease sees it move, as a living run's does.
  const clock = { ...aged.clock, sleep: () => lease.renew() };
  const catalog = openObjectCatalog({ storage: aged.storage, clock, newId: () => "pruner" });
  const deps = { storage: aged.storage, catalog, clock };
  const request = { backup_id: scope.backupId, execute: true, grace_ms: 0 };
  const pruning = pruneOrphans(deps, request, deadlineAt(clock, Infinity));
  await expect(pruning).rejects.toMatchObject({ name: "BackupConflictError" });
  expect(await keysOf(aged)).toContain(orphanKey);
});

test("C6: nothing is removed where a manifest is missing, changed or gone", async () => {
  const damages: ((backup: SyntheticBackup) => Promise<void>)[] = [
    ({ storage, backupId }) => storage.delete([`${backupId}/manifests/00000001.json`]),
    ({ storage, backupId }) => storage.delete([`${backupId}/manifests/00000002.json`]),
    ({ storage, backupId }) =>
      storage.put(`${backupId}/manifests/00000001.json`, Buffer.from("{}")),
  ];
  for (const damage of damages) {
    const aged = await agedBackup();
    await damage(aged.backup);
    aged.passHours(100);
    const before = await keysOf(aged);
    await expect(prune(aged)).rejects.toMatchObject({ name: "CorruptManifestError" });
    expect(await keysOf(aged)).toEqual(before);
  }
});

test("C6: nothing is removed where a run list cannot be read", async () => {
  const aged = await agedBackup();
  const before = await keysOf(aged);
  const list = before.find((key) => key.includes("/runs/") && key.endsWith("orders.json"))!;
  await aged.storage.put(list, Buffer.from("{}"));
  aged.passHours(100);
  await expect(prune(aged)).rejects.toMatchObject({ name: "CorruptManifestError" });
  expect(await keysOf(aged)).toEqual(before);
});

test("a backup without any manifest is not found, and its segments stay", async () => {
  const aged = await agedBackup();
  const { storage, backupId } = aged.backup;
  const manifests = await collect(storage.list(`${backupId}/manifest`));
  await storage.delete(manifests.map(({ key }) => key));
  aged.passHours(100);
  const before = await keysOf(aged);
  await expect(prune(aged)).rejects.toMatchObject({ name: "BackupNotFoundError" });
  await expect(prune(aged, { execute: false })).rejects.toMatchObject({
    name: "BackupNotFoundError",
  });
  expect(await keysOf(aged)).toEqual(before);
});

test("more orphans than one delete takes are all removed", async () => {
  const aged = await agedBackup();
  const before = await keysOf(aged);
  for (let i = 0; i < 2500; i++) {
    const offset = String(i).padStart(20, "0");
    await aged.storage.put(`${segmentFolder}/segment-${offset}-dead.index`, Buffer.alloc(1));
  }
  aged.passHours(100);
  expect((await prune(aged)).counts.removed).toEqual({ objects: 2500, bytes: 2500 });
  expect(await keysOf(aged)).toEqual(before);
});
