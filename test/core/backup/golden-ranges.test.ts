/** I3: what format version 1 keeps of a run that reads ranges is read for ever. */
import { beforeAll, expect, test } from "vitest";
import { type BackupPlan, backupPlan } from "#core/backup/contract.ts";
import { finishBackup } from "#core/backup/finish.ts";
import { worksOf } from "#core/backup/ranges.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { parseDocument } from "#core/catalog/documents.ts";
import { readNamedKeys } from "#core/prune/named-keys.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { backupPlanKey, inBackup } from "#core/storage/keys.ts";
import { readManifestHistory } from "#core/validate/manifest-history.ts";
import { runValidation } from "#core/validate/run.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline } from "#test/support/engine.ts";
import { FakeClock } from "#test/support/fake-clock.ts";
import { fixtureObjects, storageOf } from "#test/support/golden-backup.ts";

const backupId = "ranges";

let storage: StorageBackend;
let catalog: Catalog;
let plan: BackupPlan;

beforeAll(async () => {
  storage = await storageOf(await fixtureObjects("ranges"));
  catalog = catalogOn(storage);
  const { run_id } = (await catalog.openRun(backupId))!;
  const key = inBackup(backupId, backupPlanKey(run_id));
  plan = parseDocument(key, await storage.get(key), backupPlan);
});

test("I3: version 1: the plan says what each range is to read", () => {
  const works = worksOf(plan).map((work) => [
    work.range?.from_offset,
    work.start_offset,
    work.end_offset,
    work.end_leader_epoch,
  ]);
  expect(works).toEqual([
    [undefined, 0n, 100n, 0],
    [100n, 100n, 200n, 0],
    [200n, 200n, 300n, 0],
    [300n, 300n, 400n, undefined],
  ]);
});

test("C6 I3: version 1: what all ranges have read is kept from prune", async () => {
  const reader = { storage, catalog };
  const history = await readManifestHistory(reader, backupId, noDeadline);
  const { keys } = await readNamedKeys(reader, history, noDeadline);
  const stored = await collect(storage.list(inBackup(backupId, "topics/")));
  expect(stored).toHaveLength(6);
  for (const { key } of stored) expect(keys.has(key.slice(backupId.length + 1))).toBe(true);
});

test("I3: version 1: the ranges are committed up to the first that is not whole", async () => {
  await finishBackup({ catalog, clock: new FakeClock() }, { plan, lease_token: 1 });
  const { manifest } = (await catalog.latestManifest(backupId))!;
  expect(manifest.topics[0]?.partitions[0]?.lineages).toMatchObject([
    { lineage: 1, start_offset: 0n, next_offset: 140n, totals: { record_count: 140 } },
  ]);
  expect(await collect(storage.list(inBackup(backupId, "state/")))).toEqual([]);
  const deps = { storage, catalog, clock: new FakeClock() };
  const report = await runValidation(deps, { backup_id: backupId, level: "deep" }, noDeadline);
  expect(report.findings.filter(({ severity }) => severity === "error")).toEqual([]);
});
