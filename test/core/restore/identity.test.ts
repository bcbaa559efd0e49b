import { expect, test } from "vitest";
import { refuseConflicts, restoreToContinue } from "#core/restore/identity.ts";
import { requestSha256 } from "#core/restore/request.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import {
  intentOf,
  reportOf,
  requestOf,
  targetClusterId,
  topicPlanOf,
} from "#test/support/restore-requests.ts";
import {
  syntheticBackup,
  syntheticBackupId,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

async function begun(overrides: Parameters<typeof intentOf>[0] = {}) {
  const { storage, catalog, addRun } = syntheticBackup();
  await addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  const intent = intentOf(overrides);
  const record = new RestoreRecord(storage, intent.backup_id, intent.restore_id);
  await record.writeIntent(intent);
  return { deps: { storage, catalog, cluster: { clusterId: targetClusterId } }, intent, record };
}

const sha256 = requestSha256(requestOf());

test("the same request continues an unfinished restore", async () => {
  const { deps, intent } = await begun();
  expect(await restoreToContinue(deps, syntheticBackupId, sha256)).toEqual(intent);
});

test("another request continues nothing", async () => {
  const { deps } = await begun();
  const other = requestSha256(requestOf({ window: { end: 1_700_000_000_000n } }));
  expect(await restoreToContinue(deps, syntheticBackupId, other)).toBeUndefined();
});

test("the same request into another cluster continues nothing", async () => {
  const { deps } = await begun({ target_cluster_id: "another" });
  expect(await restoreToContinue(deps, syntheticBackupId, sha256)).toBeUndefined();
});

test("a finished or abandoned restore is not continued, and is in nobody's way", async () => {
  const finished = await begun();
  await finished.record.writeReport(reportOf(finished.intent));
  const abandoned = await begun();
  await abandoned.record.writeAbandoned({ abandoned_at: 1n });
  for (const { deps } of [finished, abandoned]) {
    expect(await restoreToContinue(deps, syntheticBackupId, sha256)).toBeUndefined();
    await expect(refuseConflicts(deps, ["orders"])).resolves.toBeUndefined();
  }
});

test("a second restore into a topic of an unfinished one is refused with its id", async () => {
  const { deps } = await begun({ topics: [topicPlanOf({ target_topic: "orders-restored" })] });
  await expect(refuseConflicts(deps, ["other", "orders-restored"])).rejects.toMatchObject({
    name: "BackupConflictError",
    message: expect.stringContaining("20260131T120000Z-00000001"),
    hint: expect.stringContaining("--abandon 20260131T120000Z-00000001"),
  });
  await expect(refuseConflicts(deps, ["orders"])).resolves.toBeUndefined();
});

test("restores out of other backups of the same storage conflict as well", async () => {
  const { deps } = await begun();
  const other = syntheticBackup(deps.storage, "another-backup");
  await other.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  const intent = intentOf({
    backup_id: "another-backup",
    topics: [topicPlanOf({ target_topic: "x" })],
  });
  const record = new RestoreRecord(deps.storage, intent.backup_id, intent.restore_id);
  await record.writeIntent(intent);
  await expect(refuseConflicts(deps, ["x"])).rejects.toMatchObject({
    message: expect.stringContaining('of backup "another-backup"'),
  });
});
