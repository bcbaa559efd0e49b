/**
 * A Kafka Streams application that counts, loses its topics, and goes on under the same
 * application id: its changelog is restored with its input, and its group stands where both agree.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { openMemory } from "#core/storage/memory.ts";
import { kafkaTools } from "#local/kafka.ts";
import { installKafkaStreams } from "#local/kafka-install.ts";
import { requestOf, runPhases, threePhaseDeps } from "#test/e2e/three-phase/three-phases.ts";
import { appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";

let cluster: Cluster;
let operator: KafkaAdmin;
let folder: string;
let classpath: string;
beforeAll(async () => {
  cluster = await connectForTests();
  operator = await KafkaAdmin.connect();
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-streams-"));
  classpath = await installKafkaStreams();
});
afterAll(async () => {
  await Promise.all([cluster.disconnect(), operator.disconnect()]);
  await rm(folder, { recursive: true });
});

/** Runs the application until all of the topic is counted, on a machine without local state. */
async function countOrders(application: string, topic: string): Promise<Map<string, number>> {
  const state = await mkdtemp(join(folder, "state-"));
  const args = [kafkaForTests().bootstrapServers, application, topic, state];
  const java = kafkaTools(classpath);
  const { code, stdout, stderr } = await java.runJava("test/support/java/CountOrders.java", args);
  if (code !== 0) throw new Error(`CountOrders ended with ${code}:\n${stderr}`);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

async function append(topic: string, from: number, count: number): Promise<void> {
  for (const partition of [0, 1]) {
    await appendNumbered(cluster, { topic, partition, from: from + partition * 1_000, count });
  }
}

test("a Kafka Streams application goes on counting after its topics were lost and restored", {
  timeout: 300_000,
}, async () => {
  const topic = await createTopic(cluster, { partitionCount: 2, prefix: "orders" });
  const application = randomName("counter");
  const changelog = `${application}-counts-changelog`;
  await append(topic, 0, 40);
  const counted = await countOrders(application, topic);
  expect(counted.size).toBe(80);
  // Not counted by the time of the backup: keys of before once more, and new ones.
  await append(topic, 30, 20);

  const storage = openMemory();
  const engine = testEngine(cluster, { storage });
  await engine.backup([topic, changelog]);
  await operator.deleteTopic(topic);
  await operator.deleteTopic(changelog);

  const mapping = { [topic]: topic, [changelog]: changelog };
  const request = requestOf(engine.backupId, mapping, { groups: { groups: [application] } });
  const { status, report } = await runPhases(threePhaseDeps(storage, cluster), request);
  expect(status).toBe("done");
  const positions = report!.groups.flatMap(({ partitions }) => partitions);
  expect(positions.map((one) => one.committed_offset)).toEqual([40n, 40n]);
  // Streams keeps its own time in the metadata.
  for (const { metadata } of positions) expect(metadata).not.toBe("");

  const resumed = await countOrders(application, topic);
  const expected = new Map<string, number>();
  for (const partition of [0, 1]) {
    for (let i = 0; i < 50; i++) {
      const isTwice = i >= 30 && i < 40;
      expected.set(`key ${i + partition * 1_000}`, isTwice ? 2 : 1);
    }
  }
  expect(resumed).toEqual(expected);
});
