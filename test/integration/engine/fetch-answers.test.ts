/** Fetch answers that hold less than they should, or what is no record batch. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster, FetchRequest } from "#core/kafka/cluster.ts";
import { batchSizeAt } from "#core/kafka/record-batch.ts";
import { appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster?.disconnect());

/**
 * As a broker whose remote storage is slow (KIP-405): answers with nothing, after the time it was
 * told to wait, `count` times at offset 30.
 */
function slowRemoteStorage(count: number, withRemoteStorage: boolean): Cluster {
  let left = count;
  return wrappedCluster(cluster, {
    fetch: async (request: FetchRequest) => {
      const answer = await cluster.fetch({ ...request, maxBytes: 1 });
      if (request.fetchOffset !== 30n || left-- <= 0) return answer;
      await sleep(request.maxWaitMs);
      return { ...answer, records: Buffer.alloc(0), abortedTransactions: [] };
    },
    topicSettings: async (topics) => {
      const settings = await cluster.topicSettings(topics);
      const value = String(withRemoteStorage);
      const setting = { name: "remote.storage.enable", value, ofTopic: true, readOnly: false };
      return settings.map((answer) =>
        "error" in answer ? answer : { ...answer, settings: [...answer.settings, setting] },
      );
    },
  });
}

async function backedUp(slow: Cluster) {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 100 });
  return testEngine(slow).backup([topic]);
}

test("F2 one answer without records is not taken for the end", async () => {
  const result = await backedUp(slowRemoteStorage(1, false));
  expect(result).toMatchObject({ status: "done", record_count: 100 });
});

test("F2 no number of them is the end of a topic with remote storage", async () => {
  const result = await backedUp(slowRemoteStorage(4, true));
  expect(result).toMatchObject({ status: "done", record_count: 100 });
});

test.each([-5_000, -12, 0, 48])(
  "F6 a batch whose length is damaged to %i is named",
  async (length) => {
    const topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 100 });
    const damaged = wrappedCluster(cluster, {
      fetch: async (request) => {
        const { records, ...answer } = await cluster.fetch(request);
        const first = batchSizeAt(records, 0)!;
        records.writeInt32BE(length, first + 8);
        return { ...answer, records };
      },
    });
    const engine = testEngine(damaged);
    const message = `${topic}-0 at offset 10: its size of ${length + 12} bytes`;
    expect(await engine.backup([topic])).toMatchObject({
      record_count: 10,
      failed: [{ error: "CorruptRecordBatchError", message: expect.stringContaining(message) }],
    });
  },
);
