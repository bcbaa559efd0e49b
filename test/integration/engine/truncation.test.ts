/**
 * Logs that lose their end, as after the election of an unclean leader, and grow again over the
 * same offsets: only the leader epoch tells. The broker is this file's own, stopped while its
 * files are cut.
 */
import { readdir, readFile, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import type { LineageState } from "#core/catalog/manifest.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { batchSizeAt, readBatchHeader } from "#core/kafka/record-batch.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let kafka: LocalKafka;
let cluster: Cluster;
/** Backed up before and after the truncation. */
let between: TestEngine;
let regrown: string;
let cut: string;
/** Backed up while it happens. */
let during: TestEngine;
let cutBehindReader: string;
let untouched: string;
let first: BackupResult;
let second: BackupResult;
let third: BackupResult;
let racing: BackupResult;
let racingNext: BackupResult;
let seen: SeenRecord[];
const restored = {
  newest: randomName("newest"),
  oldest: randomName("oldest"),
  cut: randomName("cut"),
  untouched: randomName("untouched"),
  behind: randomName("behind"),
};

beforeAll(async () => {
  kafka = await startKafka();
  cluster = await connectForTests({ bootstrap_servers: [kafka.bootstrapServers] });
  [regrown, cut, cutBehindReader, untouched] = (await Promise.all(
    ["regrown", "cut", "cut-behind", "untouched"].map((prefix) => createTopic(cluster, { prefix })),
  )) as [string, string, string, string];
  for (const topic of [regrown, cut, cutBehindReader, untouched]) {
    await appendNumbered(cluster, { topic, from: 0, count: 40 });
  }
  between = testEngine(cluster);
  first = await between.backup([regrown, cut]);

  let truncated: Promise<void> | undefined;
  const counts = new Map<string, number>();
  const racer = wrappedCluster(cluster, {
    fetch: async (request) => {
      const count = (counts.get(request.topic) ?? 0) + 1;
      counts.set(request.topic, count);
      if (count === 3) {
        truncated ??= truncateAll();
        await truncated;
      }
      return cluster.fetch({ ...request, maxBytes: 1 });
    },
  });
  during = testEngine(racer);
  racing = await during.backup([cutBehindReader, untouched], { segment_max_bytes: 1 });
  racingNext = await during.backup([cutBehindReader, untouched]);

  second = await between.backup([regrown, cut]);
  await appendNumbered(cluster, { topic: cut, from: 9_000, count: 5 });
  third = await between.backup([regrown, cut]);
  await between.restore({ [regrown]: restored.newest, [cut]: restored.cut });
  await between.restore({ [regrown]: restored.oldest }, { lineage: 1 });
  const mapping = { [cutBehindReader]: restored.behind, [untouched]: restored.untouched };
  await during.restore(mapping);
  seen = await recordsOf([regrown, cut, cutBehindReader, ...Object.values(restored)], kafka);
});

afterAll(async () => {
  await cluster?.disconnect();
  await kafka?.stop();
});

/** Three logs lose their end; two of them grow beyond where they were, with other records. */
async function truncateAll(): Promise<void> {
  await kafka.kill("SIGTERM");
  await truncateLog(regrown, 20n);
  await truncateLog(cut, 30n);
  await truncateLog(cutBehindReader, 10n);
  await kafka.restart();
  await appendNumbered(cluster, { topic: regrown, from: 5_000, count: 60 });
  await appendNumbered(cluster, { topic: cutBehindReader, from: 7_000, count: 60 });
}

/** Cuts partition 0's only log file before the batch that begins at `offset`. */
async function truncateLog(topic: string, offset: bigint): Promise<void> {
  const folder = join(kafka.dataDir, `${topic}-0`);
  const file = join(folder, "00000000000000000000.log");
  const log = await readFile(file);
  let position = 0;
  while (readBatchHeader(log, position).baseOffset < offset) {
    position += batchSizeAt(log, position)!;
  }
  expect(readBatchHeader(log, position).baseOffset).toBe(offset);
  await truncate(file, position);
  // The broker makes these anew.
  for (const name of await readdir(folder)) {
    if (/\.(index|timeindex|snapshot)$/.test(name)) await rm(join(folder, name));
  }
}

async function lineagesOf(engine: TestEngine, topic: string): Promise<readonly LineageState[]> {
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  return manifest.topics.find(({ name }) => name === topic)!.partitions[0]!.lineages;
}

function numbersIn(topic: string): number[] {
  return seen.filter((record) => record.topic === topic).map(numberOf);
}

test("K3 a log that was truncated and has grown beyond its old end begins a new lineage", async () => {
  expect(first).toMatchObject({ status: "done", record_count: 80 });
  expect(second).toMatchObject({ status: "done", failed: [] });
  const lineages = await lineagesOf(between, regrown);
  expect(lineages).toMatchObject([
    { lineage: 1, start_offset: 0n, next_offset: 40n },
    { lineage: 2, start_offset: 0n, next_offset: 80n },
  ]);
  expect(lineages[0]!.topic_id).toBe(lineages[1]!.topic_id);
  expect(lineages[1]!.last_leader_epoch).toBeGreaterThan(lineages[0]!.last_leader_epoch);
});

test("K3 its newest lineage is the log as it is, its oldest the log as it was", () => {
  expect(numbersIn(regrown)).toEqual([...numbers(0, 20), ...numbers(5_000, 5_060)]);
  expect(numbersIn(restored.newest)).toEqual(numbersIn(regrown));
  expect(numbersIn(restored.oldest)).toEqual(numbers(0, 40));
});

test("K2 K3 a log that ends before what is archived begins a new lineage, which goes on", async () => {
  expect(await lineagesOf(between, cut)).toMatchObject([
    { lineage: 1, next_offset: 40n },
    { lineage: 2, next_offset: 35n },
  ]);
  expect(second.record_count).toBe(80 + 30);
  expect(third).toMatchObject({ status: "done", record_count: 5 });
  expect(numbersIn(restored.cut)).toEqual([...numbers(0, 30), ...numbers(9_000, 9_005)]);
});

test("K3 a log that is truncated behind its reader fails its partition by name", async () => {
  expect(racing).toMatchObject({
    status: "done_with_gaps",
    failed: [{ topic: cutBehindReader, partition: 0, error: "TopicChangedError" }],
  });
  const [old, ...others] = await lineagesOf(during, cutBehindReader);
  expect(old!.next_offset).toBeGreaterThan(10n);
  expect(old!.next_offset).toBeLessThan(40n);
  expect(others).toMatchObject([{ lineage: 2, next_offset: 70n }]);
  expect(racingNext).toMatchObject({ status: "done", failed: [], record_count: 70 });
  expect(numbersIn(cutBehindReader)).toEqual([...numbers(0, 10), ...numbers(7_000, 7_060)]);
  expect(numbersIn(restored.behind)).toEqual(numbersIn(cutBehindReader));
});

test("K4 a log that only changed its leader epoch meanwhile goes on in the same run", async () => {
  const lineages = await lineagesOf(during, untouched);
  expect(lineages).toMatchObject([{ lineage: 1, start_offset: 0n, next_offset: 40n }]);
  expect(numbersIn(restored.untouched)).toEqual(numbers(0, 40));
});
