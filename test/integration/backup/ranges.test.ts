/** One large partition that several workers read in ranges, from a real broker. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BackupDeps } from "#core/backup/contract.ts";
import { beginBackup } from "#core/backup/steps/begin.ts";
import { commitBackup } from "#core/backup/steps/commit.ts";
import type { BegunBackup } from "#core/backup/steps/contract.ts";
import { judgeBackup } from "#core/backup/steps/judge.ts";
import { releaseRun } from "#core/backup/steps/release.ts";
import { backupWorkItem } from "#core/backup/steps/work-item.ts";
import { type WorkItem, workItem } from "#core/backup/work-items.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { silentLogger } from "#core/runtime.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import { appendNumbered } from "#test/support/append.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { batchOnDisk, flipByteOnDisk } from "#test/support/broker-files.ts";
import { noDeadline, segmentSettings, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

/** In batches of 10; six ranges of some 500 for 40 workers. */
const records = 3_000;
const workers = 40;
const rangeOffsetsMin = 500;

let cluster: Cluster;
let admin: KafkaAdmin;

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
});
afterAll(() => Promise.all([cluster?.disconnect(), admin?.disconnect()]));

async function largeTopic(): Promise<string> {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: records, valueBytes: 1_000 });
  return topic;
}

function inRanges(topic: string) {
  const storage = openMemory();
  const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
  const ids = { clock: systemClock, logger: silentLogger, newId: randomId };
  const deps: BackupDeps = { storage, catalog, cluster, ...ids };
  const backupId = randomName("ranges");
  const request = {
    backup_id: backupId,
    topics: { include: [topic], exclude: [] },
    segments: segmentSettings,
    max_concurrent_partitions: 2,
  };
  return {
    deps,
    backupId,
    begin: () => beginBackup(deps, request, workers, noDeadline, rangeOffsetsMin),
    async items(run: BegunBackup): Promise<WorkItem[]> {
      return workItem.array().parse(JSON.parse((await storage.get(run.items.key)).toString()));
    },
    async readItem(run: BegunBackup, item: WorkItem, turnMs = 1): Promise<void> {
      const turn = () => backupWorkItem(deps, { run, item }, turnMs, noDeadline);
      while ((await turn()).status === "continue");
    },
    async readAll(run: BegunBackup): Promise<void> {
      for (const item of await this.items(run)) await this.readItem(run, item);
    },
    finish: async (run: BegunBackup) =>
      commitBackup(deps, run, await judgeBackup(deps, run, noDeadline), noDeadline),
    archived: () => archivedPartitions(deps, backupId),
  };
}

async function archivedAsWhole(topic: string) {
  const engine = testEngine(cluster);
  await engine.backup([topic], { segment_max_bytes: 100_000 });
  return archivedPartitions(engine, engine.backupId);
}

test("F2 C5 it comes out as one run has it, with two workers at each work item", async () => {
  const topic = await largeTopic();
  const backup = inRanges(topic);
  const run = await backup.begin();
  const items = await backup.items(run);
  const works = items.flatMap(({ partitions }) => partitions);
  expect(works.length).toBe(6);
  expect(works.every((work) => work.start_offset % 10n === 0n)).toBe(true);
  await Promise.all(
    items.flatMap((item) => [backup.readItem(run, item), backup.readItem(run, item)]),
  );
  const result = await backup.finish(run);
  expect(result).toMatchObject({ status: "done", record_count: records, partitions: 1 });
  expect(await backup.archived()).toEqual(await archivedAsWhole(topic));
  const request = { backup_id: backup.backupId, level: "deep" as const };
  expect(await runValidation(backup.deps, request, noDeadline)).toMatchObject({ status: "sound" });
});

test("C3 the command line goes on with each range where its worker stopped", async () => {
  const topic = await largeTopic();
  const backup = inRanges(topic);
  const run = await backup.begin();
  const [first, second] = await backup.items(run);
  await backup.readItem(run, second!);
  await backupWorkItem(backup.deps, { run, item: first! }, 0, noDeadline);
  await releaseRun(backup.deps, run);

  const fetched: bigint[] = [];
  const watched = wrappedCluster(cluster, {
    fetch: (request) => {
      fetched.push(request.fetchOffset);
      return cluster.fetch(request);
    },
  });
  const { storage } = backup.deps;
  const engine = testEngine(watched, { storage, backupId: backup.backupId });
  const result = await engine.backup([topic]);
  expect(result).toMatchObject({ status: "done", resumed: true, record_count: records });
  for (const { start_offset, end_offset } of second!.partitions) {
    expect(fetched.filter((offset) => offset >= start_offset && offset < end_offset)).toEqual([]);
  }
  expect(await backup.archived()).toEqual(await archivedAsWhole(topic));
});

test("K7 a range that fails is its partition's failure: all before it is committed, nothing behind", async () => {
  const topic = await largeTopic();
  const backup = inRanges(topic);
  const run = await backup.begin();
  const [damaged, other] = [await batchOnDisk(topic, 1_700n), await batchOnDisk(topic, 2_600n)];
  for (const batch of [damaged, other]) await flipByteOnDisk(batch, 300);
  await backup.readAll(run);
  const result = await backup.finish(run);
  expect(result).toMatchObject({
    status: "done_with_gaps",
    record_count: 1_700,
    failed: { count: 1, first: [{ topic, partition: 0, error: "CorruptRecordBatchError" }] },
    gaps: { count: 0 },
  });
  expect(result.failed.first[0]).not.toHaveProperty("from_offset");
  expect(result.failed.first[0]!.message).toContain("offset 1700");
  expect(await backup.archived()).toEqual(await archivedAsWhole(topic));

  for (const batch of [damaged, other]) await flipByteOnDisk(batch, 300);
  const next = await backup.begin();
  await backup.readAll(next);
  expect(await backup.finish(next)).toMatchObject({ status: "done", record_count: 1_300 });
  expect(await backup.archived()).toEqual(await archivedAsWhole(topic));
});

test("K7 a first range that fails with nothing read leaves nothing worth a manifest", async () => {
  const topic = await largeTopic();
  const backup = inRanges(topic);
  const run = await backup.begin();
  await flipByteOnDisk(await batchOnDisk(topic, 0n), 300);
  await backup.readAll(run);
  await expect(backup.finish(run)).rejects.toMatchObject({ name: "CorruptRecordBatchError" });
});

test("K1 retention that overtakes several ranges leaves one gap", async () => {
  const topic = await largeTopic();
  const backup = inRanges(topic);
  const run = await backup.begin();
  await admin.deleteRecordsBefore(topic, 0, 1_204);
  await backup.readAll(run);
  const result = await backup.finish(run);
  expect(result).toMatchObject({ status: "done_with_gaps", record_count: records - 1_200 });
  expect(result.gaps).toMatchObject({
    count: 1,
    first: [{ topic, partition: 0, from_offset: 0n, to_offset: 1_204n, reason: "retention" }],
  });
  const request = { backup_id: backup.backupId, level: "deep" as const };
  const { findings } = await runValidation(backup.deps, request, noDeadline);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
});

test("C3 ranges of a topic that is gone by the next run are committed by it all the same", async () => {
  const [topic, another] = [await largeTopic(), await createTopic(cluster)];
  const backup = inRanges(topic);
  const run = await backup.begin();
  await backup.readAll(run);
  await releaseRun(backup.deps, run);
  const expected = await archivedAsWhole(topic);
  await admin.deleteTopic(topic);
  const { storage } = backup.deps;
  const engine = testEngine(cluster, { storage, backupId: backup.backupId });
  await engine.backup([another]);
  const archived = await backup.archived();
  expect(archived[`${topic}/0`]).toEqual(expected[`${topic}/0`]);
});
