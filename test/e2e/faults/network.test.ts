/**
 * Whole processes of the command line over networks that lose, break, crawl and hang: to Kafka by
 * one proxy, to the storage by another.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { runValidation } from "#core/validate/run.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { freePort } from "#local/processes.ts";
import { appendNumbered } from "#test/support/append.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { createBucket, type TestBucket } from "#test/support/bucket.ts";
import {
  type CommandRun,
  endCommands,
  resultOf,
  startCommand,
  whenHeld,
} from "#test/support/command-runs.ts";
import { noDeadline, testEngine } from "#test/support/engine.ts";
import { type FaultProxy, startFaultProxy } from "#test/support/fault-proxy.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { startStorageGate } from "#test/support/storage-gate.ts";

const partitions = [0, 1];
/** 1.2 MB in each partition. Fetches bring 64 KiB: what is lost at once is little of it. */
const records = { from: 0, count: 1_200, perBatch: 10, valueBytes: 1_000 };
const brokerSettings = { "fetch.max.bytes": String(64 * 1024) };
const segmentBytesMax = 128 * 1024;

let kafka: LocalKafka;
let toKafka: FaultProxy;
let cluster: Cluster;
let bucket: TestBucket;
let topic: string;
/** What an undisturbed run archives. */
let expected: unknown;
let contents: Map<string, string>;

beforeAll(async () => {
  const port = await freePort();
  toKafka = await startFaultProxy(port);
  const settings = {
    ...brokerSettings,
    "advertised.listeners": `PLAINTEXT://${toKafka.address}`,
  };
  kafka = await startKafka({ heapMb: 512, port, settings });
  cluster = await connectForTests({ bootstrap_servers: [toKafka.address] });
  bucket = await createBucket();
  topic = await createTopic(cluster, { partitionCount: partitions.length });
  for (const partition of partitions) {
    await appendNumbered(cluster, { topic, partition, ...records });
  }
  const undisturbed = testEngine(cluster);
  await undisturbed.backup([topic]);
  expected = await archivedPartitions(undisturbed, undisturbed.backupId);
  contents = await contentsOf([topic], byProxy());
});

afterAll(async () => {
  endCommands();
  await bucket?.storage.close();
  await cluster?.disconnect();
  await kafka?.stop();
  await toKafka?.stop();
});

const byProxy = () => ({ ...kafka, bootstrapServers: toKafka.address });

function backup(backupId: string, endpoint?: string): CommandRun {
  return startCommand("backup", {
    mode: "backup",
    backup_id: backupId,
    source: { bootstrap_servers: toKafka.address, topics: { include: [topic] } },
    storage: bucket.location(endpoint),
    backup: { segment_max_bytes: segmentBytesMax },
  });
}

function restore(backupId: string, restored: string, endpoint?: string): CommandRun {
  return startCommand("restore", {
    mode: "restore",
    backup_id: backupId,
    target: { bootstrap_servers: toKafka.address, topics: { include: [topic] } },
    storage: bucket.location(endpoint),
    restore: { topic_mapping: { [topic]: restored }, checkpoint_interval_secs: 1 },
  });
}

async function expectAsUndisturbed(backupId: string): Promise<void> {
  expect(await archivedPartitions(bucket, backupId)).toEqual(expected);
  const request = { backup_id: backupId, level: "deep" } as const;
  const report = await runValidation(bucket, request, noDeadline);
  expect(report).toMatchObject({ status: "sound", orphans: { objects: 0 } });
}

async function expectRestored(restored: string): Promise<void> {
  const found = await contentsOf([restored], byProxy());
  for (const partition of partitions) {
    expect(contents.get(`${topic}/${partition}`)).toMatch(/^1200 records /);
    expect(found.get(`${restored}/${partition}`)).toBe(contents.get(`${topic}/${partition}`));
  }
}

/** Starts a run and lets something happen to it, until `after` is called. */
type Disturbed = (
  segments: RegExp,
  start: () => CommandRun,
) => Promise<{ readonly run: CommandRun; readonly after: () => void }>;

async function backUpAndRestore(endpoint: string, disturbed: Disturbed): Promise<void> {
  const [backupId, restored] = [randomName("backup"), randomName("restored")];
  const segments = new RegExp(`^(PUT|GET) .*/${backupId}/topics/.*\\.zst$`);
  const first = await disturbed(segments, () => backup(backupId, endpoint));
  const result = await resultOf<BackupResult>(first.run).finally(first.after);
  expect(result).toMatchObject({ status: "done", failed: [], gaps: [] });
  await expectAsUndisturbed(backupId);
  const second = await disturbed(segments, () => restore(backupId, restored, endpoint));
  const back = await resultOf(second.run).finally(second.after);
  expect(back).toMatchObject({ status: "done", failed: [] });
  await expectRestored(restored);
}

type Disturb = (proxy: FaultProxy) => () => void;

const losing =
  (every: number): Disturb =>
  (proxy) => {
    proxy.set({ kind: "lose-answers", every });
    return () => proxy.set(undefined);
  };

const crawling: Disturb = (proxy) => {
  proxy.set({ kind: "slow", bytesPerSecond: 1_000_000 });
  return () => proxy.set(undefined);
};

/** A connection that nobody closes and on which nothing moves any more; others do. */
const hanging: Disturb = (proxy) => proxy.holdAfter(500).letGo;

/** All connections break, at growing intervals: whatever a request takes, there is time for it. */
const breaking: Disturb = (proxy) => {
  const over = new AbortController();
  const breakNow = async () => {
    for (let pauseMs = 250; !over.signal.aborted; pauseMs *= 2) {
      proxy.set({ kind: "refuse" });
      await sleep(100);
      proxy.set(undefined);
      await sleep(pauseMs, undefined, { signal: over.signal }).catch(() => {});
    }
  };
  void breakNow();
  return () => over.abort();
};

/**
 * An answer comes in several pieces of which none may be missing: of Kafka a fetch of 64 KiB, of
 * the storage a small document or segment.
 */
const faults: readonly (readonly [title: string, kafka: Disturb, storage: Disturb])[] = [
  ["loses answers", losing(25), losing(7)],
  ["breaks connections", breaking, breaking],
  ["crawls", crawling, crawling],
  ["leaves a connection half-open", hanging, hanging],
];

/** What comes before, a run's first connection, is not repeated: nothing is begun by then. */
test.each(faults)(
  "K4 C4 R1 a network to Kafka that %s in mid-work changes nothing",
  async (...fault) => {
    const disturb = fault[1];
    const before = toKafka.faults();
    const gate = await startStorageGate(s3ForTests().endpoint);
    await backUpAndRestore(gate.endpoint, async (segments, start) => {
      const held = gate.hold(segments);
      const run = start();
      await whenHeld(run, held.first);
      const after = disturb(toKafka);
      void held.open();
      return { run, after };
    });
    expect(toKafka.faults()).toBeGreaterThan(before);
    await gate.stop();
  },
  600_000,
);

test.each(faults)(
  "C4 R1 a network to the storage that %s changes nothing",
  async (...fault) => {
    const disturb = fault[2];
    const toStorage = await startFaultProxy(Number(new URL(s3ForTests().endpoint).port));
    await backUpAndRestore(`http://${toStorage.address}`, async (_, start) => {
      const after = disturb(toStorage);
      return { run: start(), after };
    });
    expect(toStorage.faults()).toBeGreaterThan(0);
    await toStorage.stop();
  },
  600_000,
);

test("C2 C4 R1 the first answer to every write into the storage is lost, and nothing is done twice", async () => {
  const gate = await startStorageGate(s3ForTests().endpoint);
  const lost = gate.loseFirstAnswers(/^PUT /);
  await backUpAndRestore(gate.endpoint, async (_, start) => ({ run: start(), after: () => {} }));
  // Of each of both partitions eight segments or more, with their indexes and checkpoints.
  expect(lost()).toBeGreaterThan(2 * 8 * 3);
  await gate.stop();
}, 600_000);
