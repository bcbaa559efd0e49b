/** Topics that are deleted and created again, between the runs of a backup and during one. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import { backupPartition } from "#core/backup/partition.ts";
import type { LineageState } from "#core/catalog/manifest.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { silentLogger } from "#core/runtime.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { noDeadline, segmentSettings, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
let admin: KafkaAdmin;

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
});
afterAll(() => Promise.all([cluster.disconnect(), admin.disconnect()]));

async function createAnew(topic: string, partitionCount = 1): Promise<void> {
  await admin.deleteTopic(topic);
  await cluster.createTopics([{ topic, partitionCount, replicationFactor: 1, config: {} }]);
}

async function lineagesOf(
  engine: TestEngine,
  topic: string,
  partition = 0,
): Promise<readonly LineageState[]> {
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  const state = manifest.topics.find(({ name }) => name === topic)!;
  return state.partitions[partition]!.lineages;
}

function numbersIn(records: readonly SeenRecord[], topic: string, partition = 0): number[] {
  return records
    .filter((record) => record.topic === topic && record.partition === partition)
    .map(numberOf);
}

describe("K3 a topic that is created again between two runs", () => {
  let topic: string;
  let engine: TestEngine;
  let results: BackupResult[];
  const newest = randomName("newest");
  const oldest = randomName("oldest");
  const windowed = randomName("windowed");
  const mixed = randomName("mixed");
  let seen: SeenRecord[];

  beforeAll(async () => {
    topic = await createTopic(cluster, { partitionCount: 2 });
    engine = testEngine(cluster);
    const grow = (partition: number, from: number, count: number) =>
      appendNumbered(cluster, { topic, partition, from, count });
    await grow(0, 0, 30);
    await grow(1, 1_000, 20);
    results = [await engine.backup([topic])];
    // Its partition 0 has grown beyond the old one's end: offsets alone say nothing.
    await createAnew(topic, 2);
    await grow(0, 5_000, 50);
    await grow(1, 6_000, 5);
    results.push(await engine.backup([topic]));
    await grow(0, 5_050, 10);
    results.push(await engine.backup([topic]));
    await engine.restore({ [topic]: newest });
    await engine.restore({ [topic]: oldest }, { lineage: 1 });
    const window = { end: await plannedAt(0) };
    await engine.restore({ [topic]: windowed }, { lineage: { [topic]: 1 }, window });
    await engine.restore({ [topic]: mixed }, { lineage: { [topic]: { 1: 1 } } });
    seen = await recordsOf([newest, oldest, windowed, mixed]);
  });

  async function plannedAt(run: number): Promise<bigint> {
    const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
    return manifest.runs[run]!.planned_at;
  }

  test("begins a new lineage of each partition, that later runs continue", async () => {
    expect(results.map(({ status }) => status)).toEqual(["done", "done", "done"]);
    expect(results.map((result) => result.record_count)).toEqual([50, 55, 10]);
    const first = await lineagesOf(engine, topic, 0);
    expect(first).toMatchObject([
      { lineage: 1, start_offset: 0n, next_offset: 30n, last_planned_at: await plannedAt(0) },
      { lineage: 2, start_offset: 0n, next_offset: 60n, first_planned_at: await plannedAt(1) },
    ]);
    expect(first[0]!.topic_id).not.toBe(first[1]!.topic_id);
    expect(await lineagesOf(engine, topic, 1)).toMatchObject([
      { lineage: 1, next_offset: 20n },
      { lineage: 2, next_offset: 5n },
    ]);
  });

  test("comes back in its newest life", () => {
    expect(numbersIn(seen, newest, 0)).toEqual(numbers(5_000, 5_060));
    expect(numbersIn(seen, newest, 1)).toEqual(numbers(6_000, 6_005));
  });

  test("comes back in an older life where that is chosen", () => {
    expect(numbersIn(seen, oldest, 0)).toEqual(numbers(0, 30));
    expect(numbersIn(seen, oldest, 1)).toEqual(numbers(1_000, 1_020));
  });

  test("comes back in the lives that are chosen for single partitions", () => {
    expect(numbersIn(seen, mixed, 0)).toEqual(numbers(5_000, 5_060));
    expect(numbersIn(seen, mixed, 1)).toEqual(numbers(1_000, 1_020));
  });

  test("is refused for a window that ends before its newest life began", async () => {
    const refused = randomName("refused");
    const window = { end: await plannedAt(0) };
    await expect(engine.restore({ [topic]: refused }, { window })).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringMatching(/lineage.*1 \(.* 30 records\); 2 \(.* 60 records\)/),
      hint: expect.stringContaining("--lineage"),
    });
    expect(await cluster.describeTopics([refused])).toEqual([]);
  });

  test("comes back for such a window where the life is chosen", () => {
    expect(numbersIn(seen, windowed, 0)).toEqual(numbers(0, 30));
  });

  test("has no lives but these", async () => {
    const choice = { lineage: { [topic]: { 0: 3 } } };
    await expect(engine.restore({ [topic]: randomName("no") }, choice)).rejects.toMatchObject({
      name: "BackupNotFoundError",
    });
  });
});

/** Fetches bring one batch each; `change` comes before the third of them. */
function changingDuring(topic: string, change: () => Promise<void>): Cluster {
  let count = 0;
  return wrappedCluster(cluster, {
    fetch: async (request) => {
      if (request.topic === topic && ++count === 3) await change();
      return cluster.fetch({ ...request, maxBytes: 1 });
    },
  });
}

describe.each([
  ["when a checkpoint follows each batch", { segment_max_bytes: 1 }],
  ["when all is still in one segment", {}],
])("K3 a topic that is created again during a run, %s", (_, settings) => {
  let topic: string;
  let healthy: string;
  let engine: TestEngine;
  let results: BackupResult[];
  const newest = randomName("newest");
  const oldest = randomName("oldest");
  let seen: SeenRecord[];

  beforeAll(async () => {
    [topic, healthy] = [await createTopic(cluster), await createTopic(cluster)];
    await appendNumbered(cluster, { topic, from: 0, count: 100 });
    await appendNumbered(cluster, { topic: healthy, from: 0, count: 100 });
    const racing = changingDuring(topic, async () => {
      await createAnew(topic);
      await appendNumbered(cluster, { topic, from: 5_000, count: 200 });
    });
    engine = testEngine(racing);
    results = [await engine.backup([topic, healthy], settings)];
    results.push(await engine.backup([topic, healthy], settings));
    await engine.restore({ [topic]: newest });
    await engine.restore({ [topic]: oldest }, { lineage: 1 });
    seen = await recordsOf([newest, oldest]);
  });

  test("fails its partition by name, and the other topic is backed up", async () => {
    expect(results[0]).toMatchObject({
      status: "done_with_gaps",
      failed: [
        {
          topic,
          partition: 0,
          error: "TopicChangedError",
          message: expect.stringContaining(`topic "${topic}" was deleted and created again`),
        },
      ],
    });
    expect(await lineagesOf(engine, healthy)).toMatchObject([{ lineage: 1, next_offset: 100n }]);
  });

  test("begins a new lineage in the next run", async () => {
    expect(results[1]).toMatchObject({ status: "done", failed: [], record_count: 200 });
    expect((await lineagesOf(engine, topic)).map((state) => state.lineage)).toEqual([1, 2]);
    expect(numbersIn(seen, newest)).toEqual(numbers(5_000, 5_200));
  });

  test("has nothing of the new topic in the old lineage, and no time up to which it is whole", async () => {
    const found = numbersIn(seen, oldest);
    expect(found).toEqual(numbers(0, found.length));
    expect(found.length).toBeLessThanOrEqual(20);
    const [old] = await lineagesOf(engine, topic);
    expect(old!.next_offset).toBe(BigInt(found.length));
    expect(old!.last_planned_at).toBe(-1n);
  });
});

test("K3 a topic that is deleted during a run fails by name", async () => {
  const [topic, healthy] = [await createTopic(cluster), await createTopic(cluster)];
  await appendNumbered(cluster, { topic, from: 0, count: 50 });
  await appendNumbered(cluster, { topic: healthy, from: 0, count: 50 });
  const engine = testEngine(changingDuring(topic, () => admin.deleteTopic(topic)));
  const result = await engine.backup([topic, healthy]);
  expect(result.failed).toMatchObject([{ topic, partition: 0, error: "TopicNotFoundError" }]);
  expect(result).toMatchObject({ status: "done_with_gaps" });
  const next = await engine.backup([healthy]);
  expect(next).toMatchObject({ status: "done", record_count: 0 });
});

test("K2 an offset beyond the log's end fails by name, and nothing is reset", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 20 });
  const [description] = await cluster.describeTopics([topic]);
  const engine = testEngine(cluster);
  const deps = { ...engine, clock: systemClock, logger: silentLogger, newId: randomId };
  const request = {
    backup_id: engine.backupId,
    run_id: "20260131T120000Z-0a1b2c3d",
    state_id: "20260131T120000Z-0a1b2c3d",
    segments: segmentSettings,
    work: {
      topic,
      topic_id: description!.topicId,
      partition: 0,
      lineage: 1,
      start_offset: 30n,
      end_offset: 40n,
      leader_epoch: description!.partitions[0]!.leaderEpoch,
      last_leader_epoch: 0,
    },
  };
  await expect(backupPartition(deps, request, noDeadline)).rejects.toMatchObject({
    name: "OffsetOutOfRangeError",
    message: expect.stringContaining(`${topic}-0: offset 30 is outside the log [0, 20)`),
  });
  const at = { backupId: engine.backupId, runId: request.state_id, topic, partition: 0 };
  expect(await engine.catalog.checkpoints(at)).toEqual([]);
});
