/** What a run tells that fails at its very end. */
import { beforeEach, expect, test } from "vitest";
import { type BackupPlan, backupPlan } from "#core/backup/contract.ts";
import { finishBackup } from "#core/backup/finish.ts";
import { parseDocument } from "#core/catalog/documents.ts";
import { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { backupPlanKey, inBackup } from "#core/storage/keys.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { FakeClock } from "#test/support/fake-clock.ts";
import { fixtureObjects, storageOf } from "#test/support/golden-backup.ts";

const backupId = "ranges";
let storage: StorageBackend;
let plan: BackupPlan;

beforeEach(async () => {
  storage = await storageOf(await fixtureObjects("ranges"));
  const { run_id } = (await catalogOn(storage).openRun(backupId))!;
  const key = inBackup(backupId, backupPlanKey(run_id));
  plan = parseDocument(key, await storage.get(key), backupPlan);
});

function finishOn(failing: Partial<StorageBackend>) {
  const catalog = catalogOn(withMethods(storage, failing));
  return finishBackup({ catalog, clock: new FakeClock() }, { plan, lease_token: 1 });
}

const away = async () => {
  throw new BackupError("ThrottledError", "SlowDown");
};

test.each([
  ["the copy of the newest manifest", { put: away }],
  ["the run's state", { delete: away }],
])("%s that cannot be tidied up does not hide that the backup is there", async (_, failing) => {
  await expect(finishOn(failing)).rejects.toMatchObject({
    name: "ThrottledError",
    message: expect.stringMatching(/^generation 1 of backup "ranges" is committed.*: SlowDown$/),
    hint: expect.stringContaining("Nothing is missing"),
  });
  const { stored } = await finishOn({});
  expect(stored.manifest.generation).toBe(1);
});

test("a manifest that cannot be written is told as it is", async () => {
  await expect(finishOn({ createIfAbsent: away })).rejects.toMatchObject({ message: "SlowDown" });
  expect(await catalogOn(storage).latestManifest(backupId)).toBeUndefined();
});
