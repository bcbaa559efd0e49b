import { expect, test } from "vitest";
import { findNewestRestore, findOnlyRestore, findRestore } from "#core/offsets/choose-restore.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { backupId, topicId } from "#test/support/catalog-documents.ts";
import {
  type KnownBackup,
  type KnownRestore,
  knownBackup,
  run,
  storeRestore,
} from "#test/support/known-groups.ts";
import { targetClusterId } from "#test/support/restore-requests.ts";

const oneRecord: KnownRestore["partitions"] = [{ map: [[run(0, 0, 1)]] }];

/** A target whose topics have these ids. */
function clusterWith(ids: Readonly<Record<string, string>>, clusterId = targetClusterId) {
  const rest = { internal: false, authorizedOperations: undefined, partitions: [] };
  return {
    clusterId,
    describeTopics: async (names: readonly string[] = Object.keys(ids)) =>
      names.flatMap((name) => {
        const topicId = ids[name];
        return topicId === undefined ? [] : [{ name, topicId, ...rest }];
      }),
  };
}

/** Ids begin with the second of the start: what comes after says nothing. */
const older = "20260101T000000Z-b";
const newer = "20260101T000000Z-a";
const open = "20260101T000000Z-c";

/** A copy that was made for a test, and then a restore of the lost topic. */
async function twoRestores(): Promise<KnownBackup> {
  const backup = await knownBackup([{ groups: {} }]);
  const partitions = oneRecord;
  const copy = { targetTopic: "orders-copy", targetTopicId: "copy", finishedAt: 1n };
  await storeRestore(backup, { ...copy, restoreId: older, partitions });
  const lost = { targetTopic: "orders", targetTopicId: "new", finishedAt: 2n };
  await storeRestore(backup, { ...lost, restoreId: newer, partitions });
  return backup;
}

const bothThere = { "orders-copy": "copy", orders: "new" };

test("the only one whose topics are still there is taken, the newest or not", async () => {
  const backup = await twoRestores();
  const idWith = async (ids: Record<string, string>) => {
    const cluster = clusterWith(ids);
    return (await findRestore({ ...backup, cluster }, backupId)).report.restore_id;
  };
  expect(await idWith({ orders: "new" })).toBe(newer);
  expect(await idWith({ "orders-copy": "copy", orders: "created anew" })).toBe(older);
  await expect(idWith({ orders: "created anew" })).rejects.toMatchObject({
    name: "BackupNotFoundError",
    message: expect.stringContaining("no finished restore into cluster"),
  });
});

test("of several that fit none is taken: they are listed with where they went", async () => {
  const backup = await twoRestores();
  for (const deps of [backup, { ...backup, cluster: clusterWith(bothThere) }]) {
    const refusal = expect.objectContaining({
      name: "InvalidRequestError",
      message: expect.stringMatching(
        new RegExp(
          `\\n${newer}, finished .*: orders, .*\\n${older}, .*: orders into orders-copy, `,
        ),
      ),
      hint: expect.stringContaining("--restore-id"),
    });
    await expect(findRestore(deps, backupId)).rejects.toEqual(refusal);
    await expect(findOnlyRestore(deps, backupId)).rejects.toEqual(refusal);
  }
});

test("`newest` is the one that finished last", async () => {
  const backup = await twoRestores();
  const deps = { ...backup, cluster: clusterWith(bothThere) };
  expect((await findRestore(deps, backupId, "newest")).report.restore_id).toBe(newer);
});

test("one that is not finished is not passed over for an older one", async () => {
  const backup = await knownBackup([{ groups: {} }]);
  await storeRestore(backup, { restoreId: older, targetTopicId: "copy", partitions: oneRecord });
  const unfinished = { isUnfinished: true, partitions: oneRecord };
  await storeRestore(backup, {
    ...{ ...unfinished, restoreId: open, targetTopic: "orders", targetTopicId: "half" },
  });
  const find = async (ids: Record<string, string>) => {
    const deps = { ...backup, cluster: clusterWith(ids) };
    return (await findRestore(deps, backupId)).report.restore_id;
  };
  await expect(find({ restored: "copy", orders: "half" })).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: expect.stringMatching(
      new RegExp(`${older}, finished.*\\n${open}, begun .* not finished`),
    ),
    hint: expect.stringContaining("--abandon"),
  });
  // Its topics are gone: nobody can mean it.
  expect(await find({ restored: "copy" })).toBe(older);
  const record = new RestoreRecord(backup.storage, backupId, open);
  await record.writeAbandoned({ abandoned_at: 3n });
  expect(await find({ restored: "copy", orders: "half" })).toBe(older);
});

test("one that had made no topic ready is in nobody's way", async () => {
  const backup = await knownBackup([{ groups: {} }]);
  await storeRestore(backup, { restoreId: older, partitions: oneRecord });
  await storeRestore(backup, { restoreId: open, isNotReady: true, partitions: oneRecord });
  expect((await findRestore(backup, backupId)).report.restore_id).toBe(older);
});

test("where none is finished the hint names the one that is not", async () => {
  const backup = await knownBackup([{ groups: {} }]);
  await storeRestore(backup, { restoreId: open, isUnfinished: true, partitions: oneRecord });
  await expect(findRestore(backup, backupId)).rejects.toMatchObject({
    name: "BackupNotFoundError",
    hint: expect.stringContaining(open),
  });
  expect(await findOnlyRestore(backup, backupId)).toBeUndefined();
});

test("one into another cluster does not count, and is refused by name", async () => {
  const backup = await twoRestores();
  const deps = { ...backup, cluster: clusterWith(bothThere, "another-cluster") };
  await expect(findRestore(deps, backupId)).rejects.toMatchObject({
    name: "BackupNotFoundError",
  });
  await expect(findRestore(deps, backupId, newer)).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: expect.stringContaining(targetClusterId),
  });
});

test("a named one must be finished, exist, and have its topics", async () => {
  const backup = await twoRestores();
  await storeRestore(backup, { restoreId: open, isUnfinished: true, partitions: oneRecord });
  const cluster = clusterWith({ orders: "new" });
  const find = (id: string) => findRestore({ ...backup, cluster }, backupId, id);
  await expect(find(open)).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: expect.stringContaining("not finished"),
  });
  await expect(find("none")).rejects.toMatchObject({ name: "BackupNotFoundError" });
  await expect(find(older)).rejects.toMatchObject({ name: "TopicChangedError" });
  expect((await find(newer)).partitions).toMatchObject([
    { source_topic_id: topicId, target_topic_id: "new", target_topic: "orders" },
  ]);
});

test("a report takes the one that finished last, and names the others", async () => {
  const backup = await twoRestores();
  await storeRestore(backup, { restoreId: open, isUnfinished: true, partitions: oneRecord });
  const { restore, others } = await findNewestRestore(backup, backupId);
  expect(restore?.report.restore_id).toBe(newer);
  expect(others).toEqual([older, open]);
});
