/** Whole topics of Kafka's own producer, backed up and restored, as Kafka's own consumer sees them. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { frameCodecNames } from "#core/segment/codecs.ts";
import { compactionOf } from "#test/support/broker-files.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { contentsOf, produceTraffic } from "#test/support/oracle.ts";

/** The records' timestamps are of 2023: without this they would be gone at once. */
const keepAll = { "retention.ms": "-1" };
const eagerCompaction = {
  "cleanup.policy": "compact",
  "segment.ms": "500",
  "segment.bytes": "1048576",
  "min.cleanable.dirty.ratio": "0.01",
  "max.compaction.lag.ms": "1000",
  "delete.retention.ms": "100",
};

interface Case {
  readonly scenario: string;
  readonly title: string;
  readonly partitionCount?: number;
  readonly config: Record<string, string>;
}

const cases: readonly Case[] = [
  { scenario: "odd", title: "F1 odd keys, values, headers and timestamps", config: keepAll },
  { scenario: "none", title: "F7 uncompressed batches", partitionCount: 2, config: keepAll },
  { scenario: "gzip", title: "F7 gzip batches", partitionCount: 2, config: keepAll },
  { scenario: "snappy", title: "F7 snappy batches", partitionCount: 2, config: keepAll },
  { scenario: "lz4", title: "F7 lz4 batches", partitionCount: 2, config: keepAll },
  { scenario: "zstd", title: "F7 zstd batches", partitionCount: 2, config: keepAll },
  { scenario: "transactions", title: "F4 aborted transactions", config: {} },
  { scenario: "compacted", title: "F3 a compacted topic", config: eagerCompaction },
  { scenario: "single", title: "F2 batches of one record in five codecs", config: keepAll },
  { scenario: "times", title: "F2 timestamps out of order", config: keepAll },
  {
    scenario: "times",
    title: "F8 LogAppendTime",
    config: { "message.timestamp.type": "LogAppendTime" },
  },
  {
    scenario: "large",
    title: "F1 records of several megabytes",
    config: { "max.message.bytes": "15728640" },
  },
];

let cluster: Cluster;
let topics: string[];
let sources: Map<string, string>;

beforeAll(async () => {
  cluster = await connectForTests();
  topics = await Promise.all(
    cases.map(({ scenario, partitionCount = 1, config }) =>
      createTopic(cluster, { prefix: scenario, partitionCount, config }),
    ),
  );
  await produceTraffic(cases.map(({ scenario }, i) => [scenario, topics[i]!]));
  await compact(topics[cases.findIndex(({ scenario }) => scenario === "compacted")]!);
  sources = await contentsOf(topics);
  const compacted = topics[cases.findIndex(({ scenario }) => scenario === "compacted")];
  // Of the first 5,000 records no more than one of each of 200 keys is left.
  expect(Number.parseInt(sources.get(`${compacted}/0`)!, 10)).toBeLessThan(6_000);
});

afterAll(() => cluster.disconnect());

/**
 * The cleaner leaves the active segment alone: one more round of writes, when `segment.ms` is over,
 * rolls it. After that nothing changes any more.
 */
async function compact(topic: string): Promise<void> {
  await sleep(1_000);
  await produceTraffic([["compacted", topic]]);
  const isDone = async () => {
    const { cleaned, cleanable } = await compactionOf(topic);
    expect(cleanable).toBeGreaterThan(0n);
    expect(cleaned).toBe(cleanable);
  };
  await vi.waitFor(isDone, { timeout: 60_000, interval: 100 });
}

describe.each(frameCodecNames)("stored as %s", (compression) => {
  let mapping: Record<string, string>;
  let restored: Map<string, string>;

  beforeAll(async () => {
    const engine = testEngine(cluster);
    mapping = Object.fromEntries(topics.map((topic) => [topic, randomName("restored")]));
    const settings = { compression, segment_max_bytes: 1024 * 1024 };
    await engine.backup(topics, settings);
    const result = await engine.restore(mapping);
    expect(result.failed).toEqual([]);
    restored = await contentsOf(Object.values(mapping));
  });

  test.each(cases.map(({ title }, i) => [title, i] as const))("%s comes back identical", (_, i) => {
    const topic = topics[i]!;
    for (let partition = 0; partition < (cases[i]!.partitionCount ?? 1); partition++) {
      const source = sources.get(`${topic}/${partition}`);
      expect(source).toMatch(/^[1-9]\d* records /);
      expect(restored.get(`${mapping[topic]}/${partition}`)).toBe(source);
    }
  });
});

test("F7 frames that are compressed once more come back identical", async () => {
  const engine = testEngine(cluster);
  const topic = topics[cases.findIndex(({ scenario }) => scenario === "lz4")]!;
  const restored = randomName("restored");
  await engine.backup([topic], { recompress: "frame" });
  await engine.restore({ [topic]: restored });
  expect((await contentsOf([restored])).get(`${restored}/0`)).toBe(sources.get(`${topic}/0`));
});
