/** Runs that go on after an interruption, and brokers that are away meanwhile. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { deadlineAt } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { noDeadline, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
let admin: KafkaAdmin;
beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
});
afterAll(async () => {
  await admin?.disconnect();
  await cluster?.disconnect();
});

const away = () => new BackupError("BrokerUnavailableError", "the broker is away");

test("C3 a partition that cannot be planned anew keeps what the interrupted run had read", async () => {
  const topic = await createTopic(cluster, { partitionCount: 2 });
  for (const partition of [0, 1]) {
    await appendNumbered(cluster, { topic, partition, from: 0, count: 100 });
  }
  let attempt = 1;
  const engine = testEngine(
    wrappedCluster(cluster, {
      fetch: async (request) => {
        if (attempt === 1 && request.fetchOffset >= 50n) throw away();
        return cluster.fetch({ ...request, maxBytes: 1 });
      },
      listOffsets: async (partitions, at) => {
        const answers = await cluster.listOffsets(partitions, at);
        return answers.map((answer) =>
          attempt === 2 && answer.partition === 0 ? { topic, partition: 0, error: away() } : answer,
        );
      },
    }),
  );
  await expect(engine.backup([topic], { segment_max_bytes: 1 })).rejects.toThrow("is away");
  attempt = 2;
  const second = await engine.backup([topic]);
  expect(second).toMatchObject({ resumed: true, record_count: 150, failed: [{ partition: 0 }] });
  attempt = 3;
  expect(await engine.backup([topic])).toMatchObject({ status: "done", record_count: 50 });
});

test("C3 partitions that a topic lost on the way keep what the interrupted run had read", async () => {
  const topic = await createTopic(cluster, { partitionCount: 3 });
  for (const partition of [0, 2]) {
    await appendNumbered(cluster, { topic, partition, from: 0, count: 40 });
  }
  let isStopping = false;
  const stopping = wrappedCluster(cluster, {
    fetch: async (request) => {
      if (request.partition === 2 && request.fetchOffset >= 10n) isStopping = true;
      return cluster.fetch({ ...request, maxBytes: 1 });
    },
  });
  const engine = testEngine(stopping);
  const deadline = { ...noDeadline, passed: () => isStopping };
  const cancelled = engine.backup([topic], { segment_max_bytes: 1 }, deadline);
  await expect(cancelled).rejects.toMatchObject({ name: "CancelledError" });
  await admin.deleteTopic(topic);
  await cluster.createTopics([{ topic, partitionCount: 1, replicationFactor: 1, config: {} }]);
  await appendNumbered(cluster, { topic, from: 0, count: 5 });

  isStopping = false;
  expect(await engine.backup([topic])).toMatchObject({ status: "done", resumed: true });
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  const lineages = manifest.topics[0]!.partitions.map(({ partition, lineages }) => [
    partition,
    ...lineages.map(({ totals }) => totals.record_count),
  ]);
  const isPart = expect.toSatisfy((count: number) => count >= 10 && count < 40);
  expect(lineages).toEqual([
    [0, isPart, 5],
    [2, isPart],
  ]);
  const restored = await engine.restore({ [topic]: randomName("restored") }, { lineage: 1 });
  expect(restored.report.record_count).toBeGreaterThanOrEqual(20n);
});

test("a restore stops at its deadline while no broker answers", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 10 });
  const { backup, backupId, storage } = testEngine(cluster);
  await backup([topic]);
  let asked = 0;
  const cancel = new AbortController();
  const target = wrappedCluster(cluster, {
    logEndOffset: async (at) => {
      // The first answer is where the restore begins.
      if (asked++ === 0) return cluster.logEndOffset(at);
      cancel.abort();
      throw away();
    },
  });
  const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY, cancel.signal);
  const mapping = { [topic]: randomName("restored") };
  const restoring = testEngine(target, { backupId, storage }).restore(mapping, {}, {}, deadline);
  await expect(restoring).rejects.toMatchObject({ name: "CancelledError" });
  expect(asked).toBe(2);
});
