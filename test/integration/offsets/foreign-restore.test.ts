/** Groups of a topic that another tool restored: there is no offset map, only what the topic holds. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { OffsetStrategy } from "#core/offsets/contract.ts";
import { planOffsets } from "#core/offsets/plan.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { append } from "#test/support/append.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";

const none = { codec: "none" } as const;
const group = randomName("group");
let cluster: Cluster;
let operator: KafkaAdmin;
let engine: TestEngine;
let topic: string;

function recordsFrom(first: number, count: number, hasHeaders: boolean) {
  return Array.from({ length: count }, (_, i) => {
    const header = Buffer.alloc(8);
    header.writeBigInt64LE(BigInt(first + i));
    return {
      timestamp: 1_769_860_800_000n + BigInt(first + i),
      key: null,
      value: Buffer.from(`record ${first + i}`),
      headers: hasHeaders ? [{ key: "x-original-offset", value: header }] : [],
    };
  });
}

beforeAll(async () => {
  cluster = await connectForTests();
  operator = await KafkaAdmin.connect();
  engine = testEngine(cluster);
  topic = await createTopic(cluster, { config: { "retention.ms": "-1" } });
  await append(cluster, { topic, partition: 0 }, encodeBatch(recordsFrom(0, 50, false), none));
  const at = { topic, partition: 0, offset: 40n, leaderEpoch: -1, metadata: "" };
  expect(await cluster.commitOffsets(group, [at])).toMatchObject([{ error: undefined }]);
  await engine.backup([topic]);
});
afterAll(async () => {
  await Promise.all([cluster?.disconnect(), operator?.disconnect()]);
});

async function planBy(strategy: OffsetStrategy) {
  const { storage, catalog, backupId: backup_id } = engine;
  const deps = { storage, catalog, cluster, clock: systemClock, logger: silentLogger };
  return planOffsets(deps, { backup_id, groups: { groups: [group] }, strategy }, noDeadline);
}

test("the source itself is not taken for a restored topic", async () => {
  await expect(planBy("header-based")).rejects.toMatchObject({
    name: "BackupNotFoundError",
    message: expect.stringContaining("has no finished restore"),
  });
});

test("headers, timestamps and contents find a position in the topic of the same name", async () => {
  await operator.deleteTopic(topic);
  const config = { "retention.ms": "-1" };
  await cluster.createTopics([{ topic, partitionCount: 1, replicationFactor: 1, config }]);
  // It left out the first 10 records.
  await append(cluster, { topic, partition: 0 }, encodeBatch(recordsFrom(10, 40, true), none));
  const reasons = {
    "header-based": "header",
    "timestamp-based": "timestamp",
    "cluster-scan": "content",
  };
  for (const [strategy, reason] of Object.entries(reasons)) {
    const plan = await planBy(strategy as OffsetStrategy);
    expect(plan.restore_id).toBeUndefined();
    expect(plan).toMatchObject({
      target_cluster_id: cluster.clusterId,
      groups: [{ group, partitions: [{ topic, source_offset: 40n, target_offset: 30n, reason }] }],
    });
  }
  await expect(planBy("offset-map")).rejects.toMatchObject({ name: "BackupNotFoundError" });
});
