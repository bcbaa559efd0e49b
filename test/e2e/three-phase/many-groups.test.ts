/**
 * Fifty groups of both protocols over twelve plain partitions, a compacted and a transactional
 * topic. Each resumes after the restore exactly behind what it had read: nothing twice, nothing
 * left out but what compaction had removed.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { openMemory } from "#core/storage/memory.ts";
import {
  type Application,
  type ReadRecord,
  readAs,
  valuesOf,
} from "#test/e2e/three-phase/applications.ts";
import { requestOf, runPhases, threePhaseDeps } from "#test/e2e/three-phase/three-phases.ts";
import { append, appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { produceTraffic } from "#test/support/oracle.ts";

const groupCount = 50;
const plainPartitions = 12;
const recordsOfPlain = 60;

let cluster: Cluster;
let topics: string[];
const prefix = randomName("group");
const groups = Array.from({ length: groupCount }, (_, i) => `${prefix}-${i}`);

/** Group number i reads 1 + 7i mod 40 records of each partition: positions are all over the logs. */
const applications = groups.map((group, i): Application => {
  return { group, protocol: i % 2 === 0 ? "classic" : "consumer", count: 1 + ((i * 7) % 40) };
});

beforeAll(async () => {
  cluster = await connectForTests();
  const plain = await createTopic(cluster, { partitionCount: plainPartitions, prefix: "plain" });
  for (let partition = 0; partition < plainPartitions; partition++) {
    await appendNumbered(cluster, { topic: plain, partition, from: 0, count: recordsOfPlain });
  }
  const compaction = {
    "cleanup.policy": "compact",
    "segment.ms": "500",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
  };
  const compacted = await createTopic(cluster, { config: compaction, prefix: "compacted" });
  const transactional = await createTopic(cluster, { prefix: "transactional" });
  await overwrite(compacted);
  await produceTraffic([["transactions", transactional]]);
  topics = [plain, compacted, transactional];
});
afterAll(() => cluster.disconnect());

/** Twenty keys, forty times over; each value is there once. */
async function overwrite(topic: string): Promise<void> {
  for (let round = 0; round < 40; round++) {
    const records = Array.from({ length: 20 }, (_, key) => ({
      timestamp: BigInt(Date.now()),
      key: Buffer.from(`key ${key}`),
      value: Buffer.from(`round ${round} of key ${key}`),
      headers: [],
    }));
    await append(cluster, { topic, partition: 0 }, encodeBatch(records, { codec: "none" }));
  }
}

/** Until the cleaner took something: one more record at a time closes the active segment. */
async function compact(topic: string): Promise<void> {
  let round = 100;
  await vi.waitFor(
    async () => {
      const value = Buffer.from(`round ${round++} of the last key`);
      const record = {
        timestamp: BigInt(Date.now()),
        key: Buffer.from("last"),
        value,
        headers: [],
      };
      const batch = encodeBatch([record], { codec: "none" });
      await append(cluster, { topic, partition: 0 }, batch);
      expect(await recordCount(topic)).toBeLessThan(100);
    },
    { timeout: 45_000, interval: 600 },
  );
}

/** Of a partition that one fetch brings whole, from the headers of its batches. */
async function recordCount(topic: string): Promise<number> {
  const { records } = await cluster.fetch({
    ...{ topic, partition: 0, fetchOffset: 0n, currentLeaderEpoch: -1 },
    ...{ maxBytes: 10 * 1024 * 1024, maxWaitMs: 100, minBytes: 1, isolation: "read_committed" },
  });
  let count = 0;
  for (let at = 0; at < records.length; at += 12 + records.readInt32BE(at + 8)) {
    count += records.readInt32BE(at + 57);
  }
  return count;
}

test("fifty groups resume behind what they had read, over holes and markers, and read nothing twice", {
  timeout: 300_000,
}, async () => {
  const whole = { group: randomName("whole"), protocol: "consumer", count: "end" } as const;
  const before = await readAs([...applications, whole], topics, "earliest");
  await compact(topics[1]!);

  const storage = openMemory();
  const engine = testEngine(cluster, { storage });
  await engine.backup(topics);
  const mapping = Object.fromEntries(topics.map((topic) => [topic, randomName("restored")]));
  const request = requestOf(engine.backupId, mapping, { groups: { groups: [`${prefix}-*`] } });
  const { status, report } = await runPhases(threePhaseDeps(storage, cluster), request);
  expect(status).toBe("done");
  expect(report!.offset_source).toBe("latest");
  expect(report!.groups).toHaveLength(groupCount);
  for (const { partitions } of report!.groups) {
    expect(partitions).toHaveLength(plainPartitions + 2);
    for (const one of partitions) expect(one.committed_offset).toBe(one.target_offset);
  }

  const targets = topics.map((topic) => mapping[topic]!);
  const resuming = applications.map((one): Application => ({ ...one, count: "end" }));
  const stranger = { ...whole, group: randomName("stranger") };
  await expect(readAs([stranger], targets, "none")).rejects.toThrow("NoOffsetForPartition");
  const rest = await readAs(resuming, targets, "none");
  const restored = await readAs([{ ...whole, group: randomName("all") }], targets, "earliest");
  for (const { group } of applications) expectBehind(group, before, rest, restored, mapping);
});

/** What is left is what was restored and not read before, in its order. */
function expectBehind(
  group: string,
  before: readonly ReadRecord[],
  rest: readonly ReadRecord[],
  restored: readonly ReadRecord[],
  mapping: Readonly<Record<string, string>>,
): void {
  const everything = restored[0]!.group;
  for (const [source, target] of Object.entries(mapping)) {
    const read = new Set(valuesOf(before, group, [source]));
    const left = valuesOf(restored, everything, [target]).filter((value) => !read.has(value));
    expect(valuesOf(rest, group, [target]), `${group} in ${source}`).toEqual(left);
    expect(read.size).toBeGreaterThan(0);
  }
}
