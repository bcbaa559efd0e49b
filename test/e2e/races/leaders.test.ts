/**
 * Three brokers of which each goes away and comes back while whole processes back up and restore.
 * A run is held at a request to the storage while something happens to the brokers, and moves on
 * by some segments before the next thing does, so that it is in mid-work each time.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import type { Cluster, PartitionDescription } from "#core/kafka/cluster.ts";
import { type LocalKafkaCluster, startKafkaCluster } from "#local/kafka-cluster.ts";
import { appendNumbered } from "#test/support/append.ts";
import { createBucket, type TestBucket } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import {
  type CommandRun,
  endCommands,
  resultOf,
  startCommand,
  whenHeld,
} from "#test/support/command-runs.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { type StorageGate, startStorageGate } from "#test/support/storage-gate.ts";

vi.setConfig({ hookTimeout: 600_000 });

const partitions = [0, 1, 2];
/** 600 KB in each partition: fetches bring 64 KiB, and so many fill a segment. */
const records = { from: 0, count: 600, perBatch: 10, valueBytes: 1_000 };
const brokerSettings = { "min.insync.replicas": "2", "fetch.max.bytes": String(64 * 1024) };
const segmentBytesMax = 64 * 1024;

let kafka: LocalKafkaCluster;
let cluster: Cluster;
let bucket: TestBucket;
let gate: StorageGate;

beforeAll(async () => {
  kafka = await startKafkaCluster({ settings: brokerSettings });
  const bootstrap_servers = kafka.bootstrapServers.split(",");
  cluster = await connectForTests({ bootstrap_servers }, { retryBudgetMs: 90_000 });
  bucket = await createBucket();
  gate = await startStorageGate(s3ForTests().endpoint);
});

afterAll(async () => {
  endCommands();
  await gate?.stop();
  await bucket?.storage.close();
  await cluster?.disconnect();
  await kafka?.stop();
});

async function filledTopic(): Promise<string> {
  const topic = await createTopic(cluster, {
    partitionCount: partitions.length,
    replicationFactor: 3,
  });
  for (const partition of partitions)
    await appendNumbered(cluster, { topic, partition, ...records });
  return topic;
}

function backup(topic: string): CommandRun {
  return startCommand("backup", {
    mode: "backup",
    backup_id: topic,
    source: { bootstrap_servers: kafka.bootstrapServers, topics: { include: [topic] } },
    storage: bucket.location(gate.endpoint),
    backup: { segment_max_bytes: segmentBytesMax },
  });
}

function restore(topic: string, restored: string): CommandRun {
  return startCommand("restore", {
    mode: "restore",
    backup_id: topic,
    target: { bootstrap_servers: kafka.bootstrapServers, topics: { include: [topic] } },
    storage: bucket.location(gate.endpoint),
    restore: { topic_mapping: { [topic]: restored }, checkpoint_interval_secs: 1 },
  });
}

/**
 * Lets each step happen while the run is held, and has it move on in between: by one segment of at
 * least one partition, and of none by more. Each has more segments than there are steps.
 */
async function heldAtEach(
  requests: RegExp,
  start: () => CommandRun,
  steps: readonly (() => Promise<void>)[],
): Promise<CommandRun> {
  let held = gate.hold(requests);
  const run = start();
  for (const step of steps) {
    await whenHeld(run, held.first);
    await step();
    const next = gate.hold(requests);
    void held.open();
    held = next;
  }
  await whenHeld(run, held.first);
  void held.open();
  return run;
}

const segmentsWritten = (topic: string) => new RegExp(`^PUT .*/topics/${topic}/.*\\.zst$`);
const segmentsRead = (topic: string) => new RegExp(`^GET .*/topics/${topic}/.*\\.zst$`);

/** Each broker is shut down and comes back, one after the other, as in an upgrade. */
const rollingRestart = [1, 2, 3].flatMap((nodeId) => [
  () => kafka.broker(nodeId).stop(),
  async () => {
    await kafka.broker(nodeId).start();
    await kafka.inSync();
  },
]);

/** A broker dies that leads a partition; it comes back, and gets its leadership back by the tool. */
function deathAndReturn(topicOf: () => string): (() => Promise<void>)[] {
  let dead: number;
  return [
    async () => {
      dead = (await partitionsOf(topicOf()))[0]!.leader;
      await kafka.broker(dead).kill();
    },
    async () => {
      await kafka.broker(dead).start();
      await kafka.inSync();
    },
    async () => {
      const before = await partitionsOf(topicOf());
      expect(before.map(({ leader }) => leader)).not.toContain(dead);
      await electPreferred();
      await vi.waitFor(
        async () => {
          const after = await partitionsOf(topicOf());
          expect(after.map(({ leader }) => leader)).toEqual(
            after.map(({ replicas }) => replicas[0]),
          );
        },
        { timeout: 60_000, interval: 100 },
      );
    },
  ];
}

async function partitionsOf(topic: string): Promise<readonly PartitionDescription[]> {
  const [description] = await cluster.describeTopics([topic]);
  return description!.partitions;
}

async function electPreferred(): Promise<void> {
  const { code, stdout, stderr } = await kafka.tool(
    "org.apache.kafka.tools.LeaderElectionCommand",
    [
      ...["--bootstrap-server", kafka.bootstrapServers],
      ...["--election-type", "PREFERRED", "--all-topic-partitions"],
    ],
  );
  if (code !== 0) throw new Error(`kafka-leader-election ended with ${code}: ${stdout}${stderr}`);
}

/** Each offset in one segment, and no segment beside those that the manifest names. */
async function expectEachOffsetOnce(topic: string): Promise<void> {
  const { manifest } = (await bucket.catalog.latestManifest(topic))!;
  const named: string[] = [];
  const next = new Map(partitions.map((partition) => [partition, 0n]));
  for await (const { partition, segment } of segmentsOf(bucket.catalog, manifest, { topic })) {
    expect(segment.start_offset).toBe(next.get(partition));
    next.set(partition, segment.end_offset + 1n);
    named.push(`${topic}/${segment.key}`);
  }
  expect([...next.values()]).toEqual(partitions.map(() => BigInt(records.count)));
  const stored = await collect(bucket.storage.list(`${topic}/topics/`));
  const segments = stored.map(({ key }) => key).filter((key) => key.endsWith(".zst"));
  expect(segments.toSorted()).toEqual(named.toSorted());
}

test.each([
  ["a rolling restart of all brokers", () => rollingRestart],
  ["the death of a leader, its return and its election", deathAndReturn],
] as const)(
  "K4 R1 %s is no error of a backup, nor of a restore",
  async (_, stepsFor) => {
    const topic = await filledTopic();
    const restored = randomName("restored");
    const backingUp = await heldAtEach(
      segmentsWritten(topic),
      () => backup(topic),
      stepsFor(() => topic),
    );
    const result = await resultOf<BackupResult>(backingUp);
    expect(result).toMatchObject({ status: "done", failed: [], gaps: [], resumed: false });
    await expectEachOffsetOnce(topic);

    const restoring = await heldAtEach(
      segmentsRead(topic),
      () => restore(topic, restored),
      stepsFor(() => restored),
    );
    expect(await resultOf(restoring)).toMatchObject({ status: "done", failed: [] });
    const contents = await contentsOf([topic, restored], kafka);
    for (const partition of partitions) {
      expect(contents.get(`${topic}/${partition}`)).toMatch(/^600 records /);
      expect(contents.get(`${restored}/${partition}`)).toBe(contents.get(`${topic}/${partition}`));
    }
  },
  400_000,
);
