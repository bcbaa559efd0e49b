import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type LocalKafkaCluster, startKafkaCluster } from "#local/kafka-cluster.ts";
import { appendNumbered } from "#test/support/append.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";

const partitions = [0, 1, 2];
let kafka: LocalKafkaCluster;
let cluster: Cluster;

beforeAll(async () => {
  kafka = await startKafkaCluster();
  const servers = kafka.bootstrapServers.split(",");
  // Longer than any election takes, also on a busy machine.
  cluster = await connectForTests({ bootstrap_servers: servers }, { retryBudgetMs: 90_000 });
});
afterAll(async () => {
  await cluster?.disconnect();
  await kafka?.stop();
});

async function replicatedTopic(): Promise<string> {
  const topic = await createTopic(cluster, {
    partitionCount: partitions.length,
    replicationFactor: 3,
  });
  for (const partition of partitions) {
    await appendNumbered(cluster, { topic, partition, from: 0, count: 10 });
  }
  return topic;
}

test("three brokers are one cluster", async () => {
  expect(await cluster.brokerIds()).toEqual([1, 2, 3]);
});

test("K4: all is readable while each broker in turn is away, and when it is back", async () => {
  const topic = await replicatedTopic();
  const endOffsets = () =>
    Promise.all(
      partitions.map(async (partition) => {
        const { endOffset } = await cluster.logEndOffset({ topic, partition });
        return endOffset;
      }),
    );
  const ends = ["kill", "stop", "kill"] as const;
  for (const [index, broker] of kafka.brokers.entries()) {
    await broker[ends[index]!]();
    expect(await endOffsets()).toEqual([10n, 10n, 10n]);
    await broker.start();
    await kafka.inSync();
    expect(await endOffsets()).toEqual([10n, 10n, 10n]);
  }
});
