/** Runs in which something fails that must not cost more than itself. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { appendNumbered } from "#test/support/append.ts";
import { batchOnDisk, flipByteOnDisk } from "#test/support/broker-files.ts";
import { testEngine } from "#test/support/engine.ts";
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
  await admin.disconnect();
  await cluster.disconnect();
});

test("F6 what stands before a damaged batch is restorable, also when nothing else is backed up", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 50, valueBytes: 500 });
  await flipByteOnDisk(await batchOnDisk(topic, 20n), 1_000);
  const engine = testEngine(cluster);

  const result = await engine.backup([topic]);
  expect(result).toMatchObject({
    status: "done_with_gaps",
    record_count: 20,
    failed: [{ topic, partition: 0, error: "CorruptRecordBatchError" }],
  });
  const { report } = await engine.restore({ [topic]: randomName("restored") });
  expect(report.record_count).toBe(20n);
});

test("a run that archives nothing because all of it fails says why, and commits nothing", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 10, valueBytes: 500 });
  await flipByteOnDisk(await batchOnDisk(topic, 0n), 1_000);
  const engine = testEngine(cluster);

  await expect(engine.backup([topic])).rejects.toMatchObject({ name: "CorruptRecordBatchError" });
  expect(await engine.catalog.latestManifest(engine.backupId)).toBeUndefined();
});

test("F5 a partition is backed up though its open transactions cannot be asked for", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 5 });
  const producer = await admin.transactionalProducer(randomName("open"));
  const transaction = await producer.transaction();
  await transaction.send({ topic, messages: [{ value: "not committed" }] });
  const denied = wrappedCluster(cluster, {
    openTransactions: async () => {
      throw new BackupError("AccessDeniedError", "DescribeProducers: TOPIC_AUTHORIZATION_FAILED");
    },
  });

  const result = await testEngine(denied).backup([topic]);
  await transaction.abort();
  expect(result).toMatchObject({
    status: "done",
    record_count: 5,
    hanging_transactions: [],
    unread_transactions: [{ topic, partition: 0, error: "AccessDeniedError" }],
  });
});
