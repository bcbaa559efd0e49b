/** Leaders that change where nothing is archived. The broker is this file's own: it restarts. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";

let kafka: LocalKafka;
let cluster: Cluster;
let admin: KafkaAdmin | undefined;

beforeAll(async () => {
  kafka = await startKafka();
  cluster = await connectForTests({ bootstrap_servers: [kafka.bootstrapServers] });
});

afterAll(async () => {
  await admin?.disconnect();
  await cluster?.disconnect();
  await kafka?.stop();
});

/** Until the partition has a leader epoch after `epoch`. */
async function newLeader(topic: string, epoch: number): Promise<void> {
  while ((await cluster.logEndOffset({ topic, partition: 0 })).leaderEpoch <= epoch) {
    await kafka.kill("SIGTERM");
    await sleep(1_000);
    await kafka.restart();
  }
}

test("K3 a log that ends in an aborted transaction of a newer leader is no other log", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 20 });
  const { leaderEpoch } = await cluster.logEndOffset({ topic, partition: 0 });
  await newLeader(topic, leaderEpoch);
  admin = await KafkaAdmin.connect(kafka.bootstrapServers);
  const producer = await admin.transactionalProducer(randomName("aborting"));
  const transaction = await producer.transaction();
  await transaction.send({ topic, messages: [{ key: "key", value: "value" }] });
  await transaction.abort();
  expect(await cluster.endOffsetOfEpoch({ topic, partition: 0 }, leaderEpoch)).toMatchObject({
    leaderEpoch,
    endOffset: 20n,
  });

  const engine = testEngine(cluster);
  expect(await engine.backup([topic])).toMatchObject({ status: "done", record_count: 20 });
  expect(await engine.backup([topic])).toMatchObject({ status: "done", record_count: 0 });
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  expect(manifest.topics[0]!.partitions[0]!.lineages).toMatchObject([
    { lineage: 1, start_offset: 0n, next_offset: 22n, dropped: { aborted: 1, control: 1 } },
  ]);
});
