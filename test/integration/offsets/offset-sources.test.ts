/** What each offset source makes of one history, and what none of them can answer. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { OffsetSource } from "#core/offsets/contract.ts";
import { resetOffsets } from "#core/offsets/reset.ts";
import { listSnapshotIds, takeSnapshot } from "#core/offsets/snapshot.ts";
import { silentLogger } from "#core/runtime.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";

/**
 * The group stands at 4 of 10 records when the first run reads it, and the window ends after that.
 * Then come 10 more: a snapshot at 12, the second run at 15, and now it stands at 18.
 */
const group = randomName("group");
let cluster: Cluster;
let engine: TestEngine;
let topic: string;
let beforeTheFirstRun: bigint;
let windowEnd: bigint;
let snapshotId: string;
let toTheEnd: string;
let toTheWindowEnd: string;

const commit = async (offset: bigint) => {
  const at = { topic, partition: 0, offset, leaderEpoch: -1, metadata: "" };
  expect(await cluster.commitOffsets(group, [at])).toMatchObject([{ error: undefined }]);
};

const nextMillisecond = async () => {
  const nowMs = Date.now();
  while (Date.now() === nowMs) await new Promise((resolve) => setTimeout(resolve, 1));
  return BigInt(nowMs);
};

beforeAll(async () => {
  cluster = await connectForTests();
  topic = await createTopic(cluster);
  engine = testEngine(cluster);
  beforeTheFirstRun = await nextMillisecond();
  await appendNumbered(cluster, { topic, from: 0, count: 10 });
  await commit(4n);
  await engine.backup([topic]);
  windowEnd = await nextMillisecond();
  await appendNumbered(cluster, { topic, from: 10, count: 10 });
  await commit(12n);
  const deps = { ...engine, clock: systemClock, logger: silentLogger, newId: randomId };
  const groups = { groups: [group] };
  snapshotId = (await takeSnapshot(deps, { groups, description: "" })).snapshot_id;
  await commit(15n);
  await engine.backup([topic]);
  await commit(18n);
  toTheEnd = await restoredId({});
  toTheWindowEnd = await restoredId({ end: windowEnd });
});

afterAll(() => cluster.disconnect());

async function restoredId(window: { end?: bigint }): Promise<string> {
  const { report } = await engine.restore({ [topic]: randomName("restored") }, { window });
  return report.restore_id;
}

async function resetBy(restore_id: string, offset_source?: OffsetSource) {
  const { storage, catalog, backupId } = engine;
  const deps = { storage, catalog, cluster, clock: systemClock, logger: silentLogger };
  const request = {
    ...{ backup_id: backupId, groups: { groups: [group] }, restore_id },
    ...{ strategy: "offset-map" as const, ...(offset_source !== undefined && { offset_source }) },
  };
  const options = { clamp: false };
  const { plan } = await resetOffsets({ ...deps, newId: randomId }, request, options, noDeadline);
  const [planned] = plan.groups[0]!.partitions;
  const { groups } = await cluster.committedOffsets([group]);
  const committed = groups[0]?.offsets.find((at) => at.topic === planned?.topic)?.offset;
  return { source: plan.offset_source, from: planned?.source_offset, committed };
}

test("latest: the position of the newest run, and the default without a window's end", async () => {
  const expected = { source: "latest", from: 15n, committed: 15n };
  expect(await resetBy(toTheEnd, "latest")).toEqual(expected);
  expect(await resetBy(toTheEnd)).toEqual(expected);
});

test("at-window-end: the position of that time, and the default with a window's end", async () => {
  const expected = { source: "at-window-end", from: 4n, committed: 4n };
  expect(await resetBy(toTheWindowEnd, "at-window-end")).toEqual(expected);
  expect(await resetBy(toTheWindowEnd)).toEqual(expected);
});

test("current: where the group stands now, in the cluster that is source and target", async () => {
  const expected = { source: "current", from: 18n };
  expect(await resetBy(toTheEnd, "current")).toEqual({ ...expected, committed: 18n });
  // All that was restored up to the window's end was read already.
  expect(await resetBy(toTheWindowEnd, "current")).toEqual({ ...expected, committed: 10n });
});

test("snapshot:ID: the position of that snapshot", async () => {
  const source = `snapshot:${snapshotId}` as const;
  expect(await resetBy(toTheEnd, source)).toEqual({ source, from: 12n, committed: 12n });
});

test("R4: where no position is known it is refused before any write, with the other choices", async () => {
  const restoreId = await restoredId({ end: beforeTheFirstRun });
  const snapshots = await collect(listSnapshotIds(engine.storage));
  const { groups: before } = await cluster.committedOffsets([group]);
  await expect(resetBy(restoreId)).rejects.toMatchObject({
    name: "PreflightRefusedError",
    message: expect.stringContaining(`of group "${group}"`),
    hint: expect.stringMatching(/latest \(run .*current \(.*snapshot:snapshot-/),
  });
  expect(await collect(listSnapshotIds(engine.storage))).toEqual(snapshots);
  expect((await cluster.committedOffsets([group])).groups).toEqual(before);
});

test("current is refused where the named cluster is not the backup's own", async () => {
  const { storage, catalog, backupId } = engine;
  const elsewhere = testEngine(cluster, { storage, backupId: randomName("foreign") });
  await elsewhere.backup([topic]);
  const manifest = (await catalog.latestManifest(backupId))!.manifest;
  expect(manifest.cluster_id).toBe(cluster.clusterId);
  const other = { ...cluster, clusterId: "another" } as Cluster;
  const deps = { storage, catalog, cluster, source: other, clock: systemClock };
  const request = {
    ...{ backup_id: backupId, groups: { groups: [group] }, strategy: "offset-map" as const },
    ...{ offset_source: "current" as const, restore_id: toTheEnd },
  };
  const all = { ...deps, logger: silentLogger, newId: randomId };
  await expect(resetOffsets(all, request, { clamp: false }, noDeadline)).rejects.toMatchObject({
    name: "InvalidRequestError",
    hint: expect.stringContaining("--source-bootstrap-servers"),
  });
});
