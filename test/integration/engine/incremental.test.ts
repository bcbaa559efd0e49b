/** Several runs that continue one backup, while its topics go on growing and changing. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupRequest, BackupResult } from "#core/backup/contract.ts";
import type { StoredManifest } from "#core/catalog/catalog.ts";
import { lineagesOf, sumOfTotals } from "#core/catalog/totals.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { appendNumbered } from "#test/support/append.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
let admin: KafkaAdmin;

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
});
afterAll(() => Promise.all([cluster.disconnect(), admin.disconnect()]));

describe("five runs of one backup", () => {
  let engine: TestEngine;
  let orders: string;
  let payments: string;
  let invoices: string;
  let mapping: Record<string, string>;
  const results: BackupResult[] = [];
  const manifests: StoredManifest[] = [];
  let contents: Map<string, string>;

  async function run(topics: readonly string[]): Promise<void> {
    // Frames and segments end anywhere, and a run goes on in a segment of its own.
    const result = await engine.backup(topics, { segment_max_bytes: 2_000 });
    results.push(result);
    manifests.push((await engine.catalog.latestManifest(engine.backupId))!);
  }

  beforeAll(async () => {
    engine = testEngine(cluster);
    orders = await createTopic(cluster, {
      prefix: "orders",
      partitionCount: 2,
      config: { "max.message.bytes": "654321" },
    });
    payments = await createTopic(cluster, { prefix: "payments" });
    await appendNumbered(cluster, { topic: orders, from: 0, count: 70 });
    await appendNumbered(cluster, { topic: orders, partition: 1, from: 1_000, count: 33 });
    await appendNumbered(cluster, { topic: payments, from: 0, count: 50, codec: "lz4" });
    await run([orders, payments]);
    // More records in all partitions, a new partition and a new topic.
    await appendNumbered(cluster, { topic: orders, from: 70, count: 1 });
    await appendNumbered(cluster, { topic: orders, partition: 1, from: 1_033, count: 100 });
    await admin.addPartitions(orders, 3);
    await appendNumbered(cluster, { topic: orders, partition: 2, from: 2_000, count: 12 });
    await appendNumbered(cluster, { topic: payments, from: 50, count: 25, codec: "zstd" });
    invoices = await createTopic(cluster, { prefix: "invoices" });
    await appendNumbered(cluster, { topic: invoices, from: 0, count: 40 });
    await run([orders, payments, invoices]);
    await run([orders, payments, invoices]);
    // Payments are no longer selected.
    await appendNumbered(cluster, { topic: orders, partition: 2, from: 2_012, count: 5 });
    await run([orders, invoices]);
    await appendNumbered(cluster, { topic: orders, from: 71, count: 9 });
    await run([orders]);
    mapping = Object.fromEntries(
      [orders, payments, invoices].map((topic) => [topic, randomName("restored")]),
    );
    expect(await engine.restore(mapping)).toMatchObject({ status: "done" });
    contents = await contentsOf(Object.entries(mapping).flat());
  });

  test("count their generations, and each takes what came since the one before", () => {
    expect(results.map(({ generation }) => generation)).toEqual([1, 2, 3, 4, 5]);
    expect(results.map((result) => result.record_count)).toEqual([153, 178, 0, 5, 9]);
    expect(results.map(({ status }) => status)).toEqual(Array(5).fill("done"));
    expect(results.map(({ topics, partitions }) => [topics, partitions])).toEqual([
      [2, 3],
      [3, 5],
      [3, 5],
      [2, 4],
      [1, 3],
    ]);
  });

  test("one that finds nothing new adds no segment, but says until when all is there", () => {
    expect(results[2]).toMatchObject({ segment_count: 0, batch_count: 0, stored_bytes: 0 });
    const [before, after] = [manifests[1]!, manifests[2]!].map(({ manifest }) =>
      lineagesOf(manifest).map(({ state }) => state),
    );
    expect(after).toHaveLength(5);
    for (const [i, state] of after!.entries()) {
      expect(state).toEqual({ ...before![i], last_planned_at: state.last_planned_at });
      expect(state.last_planned_at).toBeGreaterThan(before![i]!.last_planned_at);
    }
  });

  test("I2 have manifests that are chained by the hash of the one before", async () => {
    for (const [i, { manifest, sha256 }] of manifests.entries()) {
      expect(manifest.previous_sha256).toBe(manifests[i - 1]?.sha256 ?? null);
      const name = String(manifest.generation).padStart(8, "0");
      const bytes = await engine.storage.get(`${engine.backupId}/manifests/${name}.json`);
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
    }
  });

  test("are all listed in the newest manifest, and their totals add up to the topics'", async () => {
    const { manifest } = manifests.at(-1)!;
    const runs = await collect(engine.catalog.runsOf(manifest));
    expect(runs.map(({ run_id }) => run_id)).toEqual(results.map(({ run_id }) => run_id));
    const ofRuns = sumOfTotals(runs.map(({ totals }) => totals));
    const ofTopics = sumOfTotals(lineagesOf(manifest).map(({ state }) => state.totals));
    expect(ofTopics).toEqual(ofRuns);
    expect(ofTopics.record_count).toBe(345);
    expect(ofTopics.segment_count).toBeGreaterThan(10);
  });

  test("F2 bring back every record of all runs once and in order", () => {
    const counts = { [orders]: [80, 133, 17], [payments]: [75], [invoices]: [40] };
    for (const [topic, ofPartitions] of Object.entries(counts)) {
      for (const [partition, count] of ofPartitions.entries()) {
        const source = contents.get(`${topic}/${partition}`);
        expect(source).toMatch(new RegExp(`^${count} records `));
        expect(contents.get(`${mapping[topic]}/${partition}`)).toBe(source);
      }
    }
  });

  test("keep a topic restorable that is no longer selected", () => {
    const found = manifests.at(-1)!.manifest.topics.find(({ name }) => name === payments)!;
    expect(found.partitions[0]!.lineages).toMatchObject([{ next_offset: 75n }]);
    const planned = manifests[2]!.manifest.runs.at(-1)!.planned_at;
    expect(found.partitions[0]!.lineages[0]!.last_planned_at).toBe(planned);
  });

  test("keep the topic's newest partition count and settings", async () => {
    const found = manifests.at(-1)!.manifest.topics.find(({ name }) => name === orders)!;
    expect(found).toMatchObject({
      partition_count: 3,
      replication_factor: 1,
      config: { "max.message.bytes": "654321" },
    });
    const [restored] = await cluster.describeTopics([mapping[orders]!]);
    expect(restored!.partitions).toHaveLength(3);
  });
});

test("K6 a run that takes no topic, as it may, leaves all that earlier runs backed up", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 30 });
  const engine = testEngine(cluster);
  await engine.backup([topic]);
  const before = (await engine.catalog.latestManifest(engine.backupId))!.manifest;

  const nothing = { include: [`${randomName("absent")}-*`], exclude: [] };
  const backup = (topics: BackupRequest["topics"]) => engine.backup([], {}, noDeadline, { topics });
  await expect(backup(nothing)).rejects.toMatchObject({ name: "TopicNotFoundError" });
  expect(await backup({ ...nothing, allow_no_match: true })).toMatchObject({
    ...{ status: "done", generation: 2, topics: 0, partitions: 0, record_count: 0 },
    failed: [],
  });
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  expect(manifest.topics).toEqual(before.topics);
  const restored = randomName("restored");
  expect(await engine.restore({ [topic]: restored })).toMatchObject({ status: "done" });
  const contents = await contentsOf([topic, restored]);
  expect(contents.get(`${topic}/0`)).toMatch(/^30 records /);
  expect(contents.get(`${restored}/0`)).toBe(contents.get(`${topic}/0`));
  expect(await engine.backup([topic])).toMatchObject({ generation: 3, record_count: 0 });
});

test("K6 a first run that takes no topic, as it may, is a backup of nothing, and is continued", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 30 });
  const engine = testEngine(cluster);
  const topics = { include: [`${randomName("absent")}-*`], exclude: [], allow_no_match: true };
  expect(await engine.backup([], {}, noDeadline, { topics })).toMatchObject({ generation: 1 });
  const restore = engine.restore({}, { topics: { include: ["*"], exclude: [] } });
  await expect(restore).rejects.toMatchObject({ name: "TopicNotFoundError" });
  expect(await engine.backup([topic])).toMatchObject({ generation: 2, record_count: 30 });
});

test("a backup refuses to go on with another cluster", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 3 });
  const engine = testEngine(cluster);
  await engine.backup([topic]);
  const before = await collect(engine.storage.list(`${engine.backupId}/manifests/`));
  const clusterId = "AnotherClustersOwnId00";
  const other = testEngine(wrappedCluster(cluster, { clusterId }), engine);
  await expect(other.backup([topic])).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: expect.stringContaining(clusterId),
  });
  expect(await collect(engine.storage.list(`${engine.backupId}/manifests/`))).toEqual(before);
  expect(await engine.backup([topic])).toMatchObject({ generation: 2, record_count: 0 });
});

test("F5 no committed group offset lies beyond what is archived", async () => {
  const topic = await createTopic(cluster, { config: { "retention.ms": "123456789" } });
  const group = randomName("group");
  await appendNumbered(cluster, { topic, from: 0, count: 10 });
  await admin.commitOffset(group, topic, 7n);
  // The group reads on to a new end as soon as the end offsets are taken.
  const racing = wrappedCluster(cluster, {
    listOffsets: async (partitions, at) => {
      const answer = await cluster.listOffsets(partitions, at);
      if (at === "lastStable") {
        await appendNumbered(cluster, { topic, from: 10, count: 10 });
        await admin.commitOffset(group, topic, 20n);
      }
      return answer;
    },
  });
  const engine = testEngine(racing);
  const { run_id } = await engine.backup([topic]);
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  expect(manifest.topics[0]!.partitions[0]!.lineages[0]!.next_offset).toBe(10n);
  const run = await engine.catalog.readRunDocument(engine.backupId, manifest.runs[0]!.run);
  const document = await engine.catalog.readClusterDocument(engine.backupId, run.cluster);
  expect(run.run_id).toBe(run_id);
  expect(document).toMatchObject({
    cluster_id: cluster.clusterId,
    topics: [{ name: topic, partition_count: 1, config: { "retention.ms": "123456789" } }],
    unread_groups: [],
  });
  expect(document.consumer_groups).toEqual({
    [group]: { partitions: { [`${topic}-0`]: expect.objectContaining({ offset: 7n }) } },
  });
});
