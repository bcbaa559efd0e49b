/** What can go wrong at the target while a restore writes to it, and when it looks at the result. */
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster, ProduceRequest } from "#core/kafka/cluster.ts";
import { restorePartition } from "#core/restore/partition.ts";
import type { RestoreResult } from "#core/restore/run.ts";
import { type Clock, deadlineAt, silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { wrapped, wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
/** Two partitions: 20 batches of 100 records, 50 kB each, and 3 such batches. */
let large: string;
/** Batches of some kilobytes, which go as they are, between small ones, which are coalesced. */
let mixed: string;
let backup: TestEngine;
const mixedCount = 30 * 20 + 90;
/** Restored topics that shall hold what their source holds. */
const expectedEqual: { source: string; restored: string; partitions: number[] }[] = [];

beforeAll(async () => {
  cluster = await connectForTests();
  large = await createTopic(cluster, { prefix: "large", partitionCount: 2 });
  mixed = await createTopic(cluster, { prefix: "mixed" });
  const perBatch = 100;
  const valueBytes = 500;
  await appendNumbered(cluster, { topic: large, from: 0, count: 2_000, perBatch, valueBytes });
  await appendNumbered(cluster, {
    ...{ topic: large, partition: 1, from: 0, count: 300 },
    ...{ perBatch, valueBytes },
  });
  for (let i = 0; i < 30; i++) {
    const from = i * 23;
    await appendNumbered(cluster, { topic: mixed, from, count: 20, perBatch: 20, valueBytes: 300 });
    await appendNumbered(cluster, { topic: mixed, from: from + 20, count: 3, perBatch: 1 });
  }
  backup = testEngine(cluster);
  await backup.backup([large, mixed]);
});
afterAll(() => cluster.disconnect());

/** Restores of the one backup over a cluster where something happens. */
function restoringOver(methods: Partial<Cluster>): TestEngine {
  const { storage, backupId } = backup;
  return testEngine(wrappedCluster(cluster, methods), { storage, backupId });
}

function shallEqual(source: string, restored: string, partitions = [0]): void {
  expectedEqual.push({ source, restored, partitions });
}

/**
 * Something happens before the produce requests to a partition with the given numbers, from 0;
 * requests stay in order.
 */
function producing(
  at: { topic: string; partition: number },
  events: Readonly<Record<number, () => Promise<unknown>>>,
): Pick<Cluster, "produce"> {
  let count = 0;
  let before: Promise<unknown> = Promise.resolve();
  return {
    produce: (request) => {
      if (request.topic !== at.topic || request.partition !== at.partition) {
        return cluster.produce(request);
      }
      const event = events[count++];
      before = before.then(() => event?.());
      return before.then(() => cluster.produce(request));
    },
  };
}

const foreignRecord = (topic: string) =>
  appendNumbered(cluster, { topic, partition: 0, from: 99_999, count: 1 });

const setMaxMessageBytes = (topic: string, bytes: number) =>
  cluster.alterTopicSettings(topic, [{ name: "max.message.bytes", set: String(bytes) }]);

describe("R2 a foreign record in the target partition", () => {
  const titles = ["in front", "in the middle", "behind the last one"];
  const foundAt = [0, 700, 2_000];
  const restored = titles.map(() => randomName("restored"));
  const results: RestoreResult[] = [];

  beforeAll(async () => {
    for (const [i, topic] of restored.entries()) {
      const at = { topic, partition: 0 };
      const inTheWay = producing(at, { [i * 7]: () => foreignRecord(topic) });
      const behind = { produce: withForeignRecordBehind(topic, 20) };
      const engine = restoringOver(i === 2 ? behind : inTheWay);
      results.push(await engine.restore({ [large]: topic }));
      shallEqual(large, topic, [1]);
    }
  });

  test.each(titles.map((title, i) => [title, i] as const))("%s fails it by name", (_, i) => {
    expect(results[i]).toMatchObject({
      status: "incomplete",
      failed: [
        {
          topic: restored[i],
          partition: 0,
          error: "ForeignWriterError",
          message: expect.stringContaining(
            `expected the log to end at offset ${foundAt[i]}, found ${foundAt[i]! + 1}`,
          ),
        },
      ],
    });
    const { partitions } = results[i]!.report.topics[0]!;
    expect(partitions.map(({ target_partition }) => target_partition)).toEqual([1]);
  });
});

function withForeignRecordBehind(topic: string, batchCount: number): Cluster["produce"] {
  let count = 0;
  return async (request) => {
    const answer = await cluster.produce(request);
    const isWatched = request.topic === topic && request.partition === 0;
    if (isWatched && ++count === batchCount) await foreignRecord(topic);
    return answer;
  };
}

describe("R6 a target that takes only smaller batches than at the plan", () => {
  test("gets them split", async () => {
    const topic = randomName("restored");
    const at = { topic, partition: 0 };
    const engine = restoringOver(producing(at, { 5: () => setMaxMessageBytes(topic, 9_000) }));
    const { status, report } = await engine.restore({ [large]: topic });
    expect(status).toBe("done");
    // More than the batches of the source: 15 of partition 0 make at least six each.
    expect(report.sent.raw + report.sent.encoded).toBeGreaterThan(23 + 15 * 5);
    shallEqual(large, topic, [0, 1]);
  });

  test("and not even a single record fails with the record's name", async () => {
    const topic = randomName("restored");
    const at = { topic, partition: 0 };
    const engine = restoringOver(producing(at, { 5: () => setMaxMessageBytes(topic, 300) }));
    const result = await engine.restore({ [mixed]: topic, [large]: randomName("restored") });
    expect(result).toMatchObject({
      status: "incomplete",
      failed: [
        {
          topic,
          partition: 0,
          error: "RecordTooLargeError",
          message: expect.stringMatching(`${topic}-0 .* record at offset \\d+ of ${mixed}-0`),
        },
      ],
    });
  });
});

test("R1 a resume begins inside of a batch of the source", async () => {
  const topic = randomName("restored");
  const cancel = new AbortController();
  const smaller = () => setMaxMessageBytes(topic, 9_000);
  const stopped = restoringOver({
    ...producing({ topic, partition: 0 }, { 0: smaller, 12: async () => cancel.abort() }),
  });
  const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY, cancel.signal);
  const stopping = stopped.restore({ [large]: topic }, {}, {}, deadline);
  await expect(stopping).rejects.toMatchObject({ name: "CancelledError" });
  const { endOffset } = await cluster.logEndOffset({ topic, partition: 0 });
  expect(endOffset % 100n).not.toBe(0n);
  await setMaxMessageBytes(topic, 1_048_588);
  const { status, report } = await backup.restore({ [large]: topic });
  expect(status).toBe("done");
  expect(report.resumed).toBe(true);
  shallEqual(large, topic, [0, 1]);
});

test("R1 a broker that is away when all was sent is asked for the log's end again", async () => {
  const topic = randomName("restored");
  let ends = 0;
  const { status, report } = await restoringOver({
    // The first question is the plan's or the pass's own, before anything was sent.
    logEndOffset: async (at) => {
      const found = await cluster.logEndOffset(at);
      if (at.topic !== topic || found.endOffset < BigInt(mixedCount)) return found;
      ends += 1;
      return ends === 1 ? lost() : found;
    },
  }).restore({ [mixed]: topic });
  expect(ends).toBeGreaterThan(1);
  expect(status).toBe("done");
  expect(report.record_count).toBe(BigInt(mixedCount));
  shallEqual(mixed, topic);
});

type Fate = "answered" | "answer lost" | "request lost" | "request late";

test("C4 R1 lost answers, lost requests and late ones change nothing of the result", async () => {
  const fates = fc.array(
    fc.oneof(
      { arbitrary: fc.constant<Fate>("answered"), weight: 8 },
      {
        arbitrary: fc.constantFrom<Fate>("answer lost", "request lost", "request late"),
        weight: 1,
      },
    ),
    { minLength: 60, maxLength: 60 },
  );
  const seed = Date.now() % 2 ** 31;
  for (const sample of fc.sample(fates, { seed, numRuns: 3 })) {
    const topic = randomName("restored");
    let faults = 0;
    const late: Promise<unknown>[] = [];
    const engine = restoringOver({
      produce: (request) => {
        const fate = sample.shift() ?? "answered";
        if (fate === "answered") return cluster.produce(request);
        faults += 1;
        if (fate === "answer lost") return cluster.produce(request).then(lost);
        if (fate === "request late") late.push(produceLate(request));
        return lost();
      },
    });
    const { status, report } = await engine.restore({ [mixed]: topic });
    await Promise.all(late);
    expect(status, `seed ${seed}`).toBe("done");
    expect(report.record_count).toBe(BigInt(mixedCount));
    expect(faults).toBeGreaterThan(0);
    const end = await cluster.logEndOffset({ topic, partition: 0 });
    expect(end.endOffset, `seed ${seed}`).toBe(BigInt(mixedCount));
    shallEqual(mixed, topic);
  }
});

function lost(): Promise<never> {
  return Promise.reject(new BackupError("BrokerUnavailableError", "the connection was lost"));
}

/** As from a worker that was thought dead. The broker knows its producer id and its sequence. */
async function produceLate(request: ProduceRequest): Promise<unknown> {
  const batch = Buffer.from(request.batch);
  await sleep(250);
  return cluster.produce({ ...request, batch });
}

/** One partition's worker alone, into a topic that exists. */
async function restoreMixed(
  topic: string,
  over: {
    cluster?: Cluster;
    storage?: StorageBackend;
    clock?: Clock;
    coalesceBelowBytes?: number;
    checkpointIntervalMs?: number;
  },
) {
  const { manifest, sha256 } = (await backup.catalog.latestManifest(backup.backupId))!;
  const { catalog } = backup;
  const { clock = systemClock, storage = backup.storage } = over;
  const target = over.cluster ?? cluster;
  const deps = { storage, catalog, cluster: target, clock, logger: silentLogger, newId: randomId };
  const [description] = await cluster.describeTopics([topic]);
  const request = {
    backup_id: backup.backupId,
    restore_id: `20260131T120000Z-${randomId().slice(0, 8)}`,
    manifest: { generation: manifest.generation, sha256 },
    window: {},
    source_topic: mixed,
    source_partition: 0,
    lineage: 1,
    target_topic: topic,
    target_partition: 0,
    target_topic_id: description!.topicId,
    max_message_bytes: 1_048_588,
    coalesce_below_bytes: over.coalesceBelowBytes,
    checkpoint_interval_ms: over.checkpointIntervalMs ?? 5_000,
  };
  const outcome = await restorePartition(deps, request, noDeadline);
  if (outcome.status !== "done") throw new Error("stopped before the end");
  return outcome.result;
}

test("R2 a foreign record in the place of a batch whose request was lost fails by name", async () => {
  const topic = await createTopic(cluster);
  let count = 0;
  const racing = wrappedCluster(cluster, {
    produce: (request) =>
      ++count === 6 ? foreignRecord(topic).then(lost) : cluster.produce(request),
  });
  const clock = { ...systemClock, sleep: () => systemClock.sleep(10) };
  await expect(restoreMixed(topic, { cluster: racing, clock })).rejects.toMatchObject({
    name: "ForeignWriterError",
    message: expect.stringContaining(`${topic}-0: the log ends at offset`),
  });
});

test("R2 a foreign record is named, though something else ends the worker before the answer", async () => {
  const topic = await createTopic(cluster);
  const { promise: isEnding, resolve: ends } = Promise.withResolvers<void>();
  let count = 0;
  const racing = wrappedCluster(cluster, {
    async produce(request) {
      if (++count !== 2) return cluster.produce(request);
      await isEnding;
      await foreignRecord(topic);
      return cluster.produce(request);
    },
  });
  const { storage } = backup;
  const createIfAbsent: StorageBackend["createIfAbsent"] = (key, body) => {
    if (!key.includes("/checkpoint-")) return storage.createIfAbsent(key, body);
    ends();
    return Promise.reject(new BackupError("BackupConflictError", "another worker was faster"));
  };
  const refusing = wrapped(storage, { createIfAbsent });
  const over = { cluster: racing, storage: refusing, coalesceBelowBytes: 0 };
  await expect(restoreMixed(topic, { ...over, checkpointIntervalMs: 0 })).rejects.toMatchObject({
    name: "ForeignWriterError",
  });
});

test("R1 small batches are restored alike, coalesced or as they are", async () => {
  const [asTheyAre, coalesced] = [await createTopic(cluster), await createTopic(cluster)];
  const { sent } = await restoreMixed(asTheyAre, { coalesceBelowBytes: 0 });
  expect(sent).toMatchObject({ raw: 120, encoded: 0 });
  const together = await restoreMixed(coalesced, { coalesceBelowBytes: 1024 * 1024 });
  expect(together.sent).toMatchObject({ raw: 0, encoded: 1 });
  shallEqual(mixed, asTheyAre);
  shallEqual(mixed, coalesced);
});

test("F2 all of these hold what their source holds, as Kafka's own consumer sees it", async () => {
  const topics = new Set(expectedEqual.flatMap(({ source, restored }) => [source, restored]));
  const contents = await contentsOf([...topics]);
  expect(contents.get(`${large}/0`)).toMatch(/^2000 records /);
  expect(contents.get(`${mixed}/0`)).toMatch(new RegExp(`^${mixedCount} records `));
  expect(expectedEqual).toHaveLength(11);
  for (const { source, restored, partitions } of expectedEqual) {
    for (const partition of partitions) {
      const expected = contents.get(`${source}/${partition}`);
      expect(contents.get(`${restored}/${partition}`), restored).toBe(expected);
    }
  }
});
