/**
 * What becomes of topics while a whole process backs them up: each run is held at its first
 * segment of every topic, so that all of it happens in mid-work.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import type { LineageState } from "#core/catalog/manifest.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type LocalKafkaCluster, startKafkaCluster } from "#local/kafka-cluster.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { createBucket, type TestBucket } from "#test/support/bucket.ts";
import {
  type CommandRun,
  endCommands,
  resultOf,
  startCommand,
  whenHeld,
} from "#test/support/command-runs.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { recordsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { type StorageGate, startStorageGate } from "#test/support/storage-gate.ts";

vi.setConfig({ hookTimeout: 600_000 });

/** 600 KB: fetches bring 64 KiB, and so many fill a segment. */
const count = 600;
const records = { perBatch: 10, valueBytes: 1_000 };
const brokerSettings = { "fetch.max.bytes": String(64 * 1024) };

/** What takes a second on a machine with nothing else to do. */
const eventually = { timeout: 90_000, interval: 100 };

let kafka: LocalKafkaCluster;
let cluster: Cluster;
let admin: KafkaAdmin;
let bucket: TestBucket;
let gate: StorageGate;

beforeAll(async () => {
  kafka = await startKafkaCluster({ settings: brokerSettings });
  const bootstrap_servers = kafka.bootstrapServers.split(",");
  cluster = await connectForTests({ bootstrap_servers }, { retryBudgetMs: 90_000 });
  admin = await KafkaAdmin.connect(bootstrap_servers[2]);
  bucket = await createBucket();
  gate = await startStorageGate(s3ForTests().endpoint);
});

afterAll(async () => {
  endCommands();
  await gate?.stop();
  await bucket?.storage.close();
  await admin?.disconnect();
  await cluster?.disconnect();
  await kafka?.stop();
});

function backup(backupId: string, include: readonly string[]): CommandRun {
  return startCommand("backup", {
    mode: "backup",
    backup_id: backupId,
    source: { bootstrap_servers: kafka.bootstrapServers, topics: { include } },
    storage: bucket.location(gate.endpoint),
    backup: { segment_max_bytes: 64 * 1024, max_concurrent_partitions: 16 },
  });
}

interface HeldRun {
  readonly run: CommandRun;
  letGo(): void;
}

/** Resolves when the run is held at the first segment of each topic. */
async function held(start: () => CommandRun, topics: readonly string[]): Promise<HeldRun> {
  const holds = topics.map((topic) => gate.hold(new RegExp(`^PUT .*/topics/${topic}/.*\\.zst$`)));
  const run = start();
  await whenHeld(run, Promise.all(holds.map(({ first }) => first)));
  return {
    run,
    letGo() {
      for (const hold of holds) void hold.open();
    },
  };
}

/** One broker hears of a new topic or partition before another does. */
async function untilKnown(topic: string, partition: number): Promise<void> {
  await vi.waitFor(() => cluster.logEndOffset({ topic, partition }), eventually);
}

async function restoreAll(backupId: string, topics: readonly string[]): Promise<string> {
  const prefix = `${randomName("restored")}-`;
  const topic_mapping = Object.fromEntries(topics.map((topic) => [topic, `${prefix}${topic}`]));
  const run = startCommand("restore", {
    mode: "restore",
    backup_id: backupId,
    target: { bootstrap_servers: kafka.bootstrapServers, topics: { include: topics } },
    storage: bucket.location(),
    restore: { topic_mapping },
  });
  expect(await resultOf(run)).toMatchObject({ status: "done", failed: [] });
  return prefix;
}

async function lineagesOf(backupId: string, topic: string): Promise<readonly LineageState[][]> {
  const { manifest } = (await bucket.catalog.latestManifest(backupId))!;
  const found = manifest.topics.find(({ name }) => name === topic);
  return found?.partitions.map(({ lineages }) => [...lineages]) ?? [];
}

/** By `topic/partition`, as Kafka's own consumer sees them. */
async function numbersIn(topics: readonly string[]): Promise<Map<string, number[]>> {
  const seen = await recordsOf(topics, kafka);
  const grouped = Map.groupBy(seen, ({ topic, partition }) => `${topic}/${partition}`);
  return new Map([...grouped].map(([place, records]) => [place, records.map(numberOf)]));
}

describe("topics that change in the middle of a run", () => {
  const newTopic = async (name: string) => {
    await cluster.createTopics([
      { topic: name, partitionCount: 1, replicationFactor: 3, config: {} },
    ]);
    return name;
  };

  test("K1 K3 K6 each has its own outcome, the next run has all that there is", async () => {
    const backupId = randomName("changing");
    const topicOf = (what: string) => `${backupId}-${what}`;
    const present = ["shrinks", "deleted", "recreated", "grows", "steady"].map(topicOf);
    const [shrinks, deleted, recreated, grows, steady] = present as [
      ...[string, string, string, string, string],
    ];
    const appears = topicOf("appears");
    for (const topic of present) {
      await newTopic(topic);
      await appendNumbered(cluster, { topic, from: 0, count, ...records });
    }
    const start = () => backup(backupId, [`${backupId}-*`]);
    const { run, letGo } = await held(start, present);
    await admin.deleteRecordsBefore(shrinks, 0, 500);
    await admin.deleteTopic(deleted);
    await admin.deleteTopic(recreated);
    await newTopic(recreated);
    await appendNumbered(cluster, { topic: recreated, from: 5_000, count, ...records });
    await admin.addPartitions(grows, 2);
    await untilKnown(grows, 1);
    await appendNumbered(cluster, { topic: grows, partition: 1, from: 7_000, count: 20 });
    await newTopic(appears);
    await appendNumbered(cluster, { topic: appears, from: 8_000, count: 20 });
    letGo();

    const first = await resultOf<BackupResult>(run, 3);
    expect(first).toMatchObject({ status: "done_with_gaps", generation: 1 });
    expect(first.gaps).toMatchObject([{ topic: shrinks, partition: 0, to_offset: 500 }]);
    const gapFrom = Number(first.gaps[0]!.from_offset);
    const failed = first.failed.map(({ topic, error }) => ({ topic, error }));
    expect(failed.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))).toEqual([
      { topic: deleted, error: "TopicChangedError" },
      { topic: recreated, error: "TopicChangedError" },
    ]);
    // What came in the middle is of the next run: each run says which partitions it had.
    const { manifest } = (await bucket.catalog.latestManifest(backupId))!;
    const { cluster: planning } = await bucket.catalog.readRunDocument(
      backupId,
      manifest.runs[0]!.run,
    );
    const planned = await bucket.catalog.readClusterDocument(backupId, planning);
    const counts = planned.topics.map(({ name, partition_count }) => [name, partition_count]);
    expect(Object.fromEntries(counts)).toEqual(
      Object.fromEntries(present.map((topic) => [topic, 1])),
    );
    expect(await lineagesOf(backupId, grows)).toHaveLength(1);
    expect(await lineagesOf(backupId, appears)).toEqual([]);

    const second = await resultOf<BackupResult>(start());
    expect(second).toMatchObject({ status: "done", generation: 2, failed: [], gaps: [] });
    const [lives] = await lineagesOf(backupId, recreated);
    expect(lives!.at(-1)).toMatchObject({ start_offset: 0n, next_offset: BigInt(count) });
    const kept = [shrinks, recreated, grows, steady, appears];
    const prefix = await restoreAll(backupId, kept);
    const found = await numbersIn(kept.map((topic) => `${prefix}${topic}`));
    expect(gapFrom).toBeLessThan(500);
    expect(Object.fromEntries(found)).toEqual({
      [`${prefix}${shrinks}/0`]: [...numbers(0, gapFrom), ...numbers(500, count)],
      [`${prefix}${recreated}/0`]: numbers(5_000, 5_000 + count),
      [`${prefix}${grows}/0`]: numbers(0, count),
      [`${prefix}${grows}/1`]: numbers(7_000, 7_020),
      [`${prefix}${steady}/0`]: numbers(0, count),
      [`${prefix}${appears}/0`]: numbers(8_000, 8_020),
    });
  }, 600_000);
});

describe("a leader that was elected though it lacked acknowledged records", () => {
  const kept = 100;
  const grown = 700;

  /** Brokers 1 and 2 have it, and an unclean election is allowed. */
  async function twoReplicas(): Promise<string> {
    const topic = randomName("unclean");
    await tool("org.apache.kafka.tools.TopicCommand", [
      ...["--create", "--topic", topic, "--replica-assignment", "1:2"],
      ...["--config", "min.insync.replicas=1"],
      ...["--config", "unclean.leader.election.enable=true"],
    ]);
    await untilKnown(topic, 0);
    return topic;
  }

  async function tool(className: string, args: readonly string[]): Promise<void> {
    const servers = ["--bootstrap-server", kafka.bootstrapServers];
    const { code, stdout, stderr } = await kafka.tool(className, [...servers, ...args]);
    if (code !== 0) throw new Error(`${className} ended with ${code}: ${stdout}${stderr}`);
  }

  async function partitionOf(topic: string) {
    const [description] = await cluster.describeTopics([topic]);
    return description!.partitions[0]!;
  }

  /** Broker 2 does not see what is written, is elected all the same, and leads a longer log. */
  async function loseTheEnd(topic: string, work: () => Promise<void>): Promise<void> {
    process.kill(kafka.broker(2).pid(), "SIGSTOP");
    try {
      const isAlone = async () => expect((await partitionOf(topic)).inSyncReplicas).toEqual([1]);
      await vi.waitFor(isAlone, eventually);
      await appendNumbered(cluster, { topic, from: kept, count: count - kept, ...records });
      await work();
      await kafka.broker(1).kill();
    } finally {
      process.kill(kafka.broker(2).pid(), "SIGCONT");
    }
    await vi.waitFor(async () => expect((await partitionOf(topic)).leader).toBe(2), eventually);
    const { endOffset } = await cluster.logEndOffset({ topic, partition: 0 });
    expect(endOffset).toBe(BigInt(kept));
    await appendNumbered(cluster, { topic, from: 5_000, count: grown, ...records });
    await kafka.broker(1).start();
    await kafka.inSync();
  }

  test("K2 K3 a log that lost its end and grew again is a new lineage, in a run and between two", async () => {
    const topic = await twoReplicas();
    const steady = await createTopic(cluster, { replicationFactor: 3 });
    await appendNumbered(cluster, { topic, from: 0, count: kept, ...records });
    await appendNumbered(cluster, { topic: steady, from: 0, count, ...records });
    const [between, during] = [randomName("between"), randomName("during")];
    let racer: HeldRun | undefined;
    await loseTheEnd(topic, async () => {
      const before = await resultOf<BackupResult>(backup(between, [topic, steady]));
      expect(before).toMatchObject({ status: "done", record_count: 2 * count });
      racer = await held(() => backup(during, [topic, steady]), [topic, steady]);
    });
    racer!.letGo();

    const racing = await resultOf<BackupResult>(racer!.run, 3);
    expect(racing.failed).toMatchObject([{ topic, partition: 0, error: "TopicChangedError" }]);
    for (const backupId of [between, during]) {
      const next = await resultOf<BackupResult>(backup(backupId, [topic, steady]));
      expect(next).toMatchObject({ status: "done", failed: [], gaps: [] });
      const [lives] = await lineagesOf(backupId, topic);
      expect(lives).toMatchObject([
        { lineage: 1, start_offset: 0n },
        { lineage: 2, start_offset: 0n, next_offset: BigInt(kept + grown) },
      ]);
      expect(lives![0]!.next_offset).toBeGreaterThan(0n);
      const prefix = await restoreAll(backupId, [topic, steady]);
      const found = await numbersIn([topic, steady].map((name) => `${prefix}${name}`));
      expect(Object.fromEntries(found)).toEqual({
        [`${prefix}${topic}/0`]: [...numbers(0, kept), ...numbers(5_000, 5_000 + grown)],
        [`${prefix}${steady}/0`]: numbers(0, count),
      });
    }
  }, 600_000);
});
