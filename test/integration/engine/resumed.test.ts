/** Runs that go on after an interruption, and brokers that are away meanwhile. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { deadlineAt } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster?.disconnect());

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
