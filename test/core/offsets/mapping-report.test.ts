import { expect, test } from "vitest";
import { offsetMapping } from "#core/offsets/mapping-report.ts";
import { backupId } from "#test/support/catalog-documents.ts";
import {
  type KnownBackup,
  knownBackup,
  noDeadline,
  run,
  storeRestore,
  timeOfRun,
} from "#test/support/known-groups.ts";

async function mappingOf(backup: KnownBackup, restore_id?: string) {
  const request = { backup_id: backupId, ...(restore_id !== undefined && { restore_id }) };
  const mapping = await offsetMapping(backup, request, noDeadline);
  return { ...mapping, partitions: mapping.consumer_groups.billing?.partitions };
}

const partitionOf = (lineage: number) => {
  return [{ lineage, sourceEndOffset: 30n, map: [[run(0, 0, 10), run(20, 10, 10)]] }];
};

test("lag counts archived offsets, and is 0 for a group that had read further", async () => {
  const groups = { billing: { "orders-0": 12n, "orders-1": 99n, "payments-0": 1n } };
  const backup = await knownBackup([{ groups, unread: ["audit"] }], [[{ next_offset: 30n }], [{}]]);
  const mapping = await mappingOf(backup);
  expect(mapping).toMatchObject({
    ...{ run_id: "run-0", read_at: timeOfRun(0), restore_id: null, target_cluster_id: null },
    unread_groups: [{ group: "audit" }],
  });
  expect(mapping.partitions).toMatchObject({
    "orders-0": { committed_offset: 12n, metadata: "of billing", end_offset: 30n, lag: 18n },
    "orders-1": { committed_offset: 99n, end_offset: 10n, lag: 0n },
    "payments-0": { committed_offset: 1n, end_offset: null, lag: null },
  });
});

test("after a restore it says where each group goes, by the newest or a named one", async () => {
  const backup = await knownBackup(
    [{ groups: { billing: { "orders-0": 12n } } }],
    [[{ next_offset: 30n }]],
  );
  const partitions = partitionOf(1);
  await storeRestore(backup, { restoreId: "a", targetTopic: "one", partitions, finishedAt: 2n });
  await storeRestore(backup, { restoreId: "b", targetTopic: "two", partitions, finishedAt: 1n });
  expect(await mappingOf(backup)).toMatchObject({ restore_id: "a", other_restores: ["b"] });
  expect(await mappingOf(backup, "b")).toMatchObject({ restore_id: "b", other_restores: [] });
  const hole = { target_partition: 0, target_offset: 10n, reason: "next-restored" };
  expect((await mappingOf(backup)).partitions).toMatchObject({
    "orders-0": { target_topic: "one", ...hole },
  });
  expect((await mappingOf(backup, "b")).partitions).toMatchObject({
    "orders-0": { target_topic: "two", ...hole },
  });
});

test("K3: a restore of another life of the partition says nothing of its positions", async () => {
  const life = (first: number, last: number) => ({
    ...{ first_planned_at: timeOfRun(first), last_planned_at: timeOfRun(last) },
    next_offset: 30n,
  });
  const groups = { billing: { "orders-0": 5n } };
  const backup = await knownBackup([{ groups }, { groups }], [[life(0, 0), life(1, 1)]]);
  await storeRestore(backup, { restoreId: "older", partitions: partitionOf(1) });
  await storeRestore(backup, { restoreId: "newer", partitions: partitionOf(2) });
  expect((await mappingOf(backup, "older")).partitions).toMatchObject({
    "orders-0": { end_offset: 30n, target_topic: null, target_offset: null },
  });
  expect((await mappingOf(backup, "newer")).partitions).toMatchObject({
    "orders-0": { target_topic: "restored", target_offset: 5n, reason: "exact" },
  });
});
