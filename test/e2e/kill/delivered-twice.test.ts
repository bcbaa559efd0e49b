/** The same work delivered twice, and answers that never come (C2, C4). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupDeps, BackupPlan, BackupRequest } from "#core/backup/contract.ts";
import { finishBackup } from "#core/backup/finish.ts";
import { backupPartition } from "#core/backup/partition.ts";
import { planBackup } from "#core/backup/plan.ts";
import { lineagesOf } from "#core/catalog/totals.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { beginRestore } from "#core/restore/begin.ts";
import type { RestorePartitionRequest } from "#core/restore/contract.ts";
import type { PartitionResult } from "#core/restore/documents.ts";
import { restorePartition } from "#core/restore/partition.ts";
import { partitionRequests } from "#core/restore/partition-runs.ts";
import { RestoreRecord, restoresOf } from "#core/restore/restore-record.ts";
import { prepareTopic } from "#core/restore/topics.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { retryWith, withRetries } from "#core/storage/retrying.ts";
import { randomId, systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import {
  expectCompleteMap,
  expectSameRecords,
  offsetMapOf,
} from "#test/e2e/kill/restored-partitions.ts";
import { noDeadline, segmentSettings, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { produceTraffic, recordsOf } from "#test/support/oracle.ts";

const settings = { ...segmentSettings, segment_max_bytes: 64 * 1024 };
let cluster: Cluster;
let topic: string;
/** By partition: offset after the last record. */
const ends = new Map<number, bigint>();

beforeAll(async () => {
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: 2, config: { "retention.ms": "-1" } });
  await produceTraffic([["batches", topic]]);
  const partitions = [0, 1].map((partition) => ({ topic, partition }));
  for (const answer of await cluster.listOffsets(partitions, "lastStable")) {
    if ("offset" in answer) ends.set(answer.partition, answer.offset);
  }
});

afterAll(() => cluster.disconnect());

function depsOf({ storage, catalog, cluster }: TestEngine): BackupDeps {
  return {
    storage,
    catalog,
    cluster,
    clock: systemClock,
    logger: silentLogger,
    newId: randomId,
  };
}

function requestOf({ backupId }: TestEngine): BackupRequest {
  return {
    backup_id: backupId,
    topics: { include: [topic], exclude: [] },
    segments: settings,
    max_concurrent_partitions: 4,
  };
}

function partitionWorks(plan: BackupPlan) {
  const { backup_id, run_id, state_id, segments } = plan;
  return plan.partitions.map((work) => ({ backup_id, run_id, state_id, segments, work }));
}

/** Every offset of the topic once, in a backup that deep validation finds sound. */
async function expectArchivedOnce(engine: TestEngine, generation: number): Promise<void> {
  const stored = await engine.catalog.latestManifest(engine.backupId);
  expect(stored?.manifest.generation).toBe(generation);
  const archived = lineagesOf(stored!.manifest).map(({ partition, state }) => {
    const { start_offset, next_offset, totals } = state;
    return [partition, start_offset, next_offset, BigInt(totals.record_count)];
  });
  expect(archived).toEqual([...ends].map(([partition, end]) => [partition, 0n, end, end]));
  const request = { backup_id: engine.backupId, level: "deep" } as const;
  expect(await runValidation(engine, request, noDeadline)).toMatchObject({ status: "sound" });
}

/** What went wrong is that somebody else was faster, and somebody was. */
function expectOneToWin(outcomes: readonly PromiseSettledResult<unknown>[]): void {
  const lost = outcomes.filter((outcome) => outcome.status === "rejected");
  expect(lost.length).toBeLessThan(outcomes.length);
  for (const { reason } of lost) expect(reason).toMatchObject({ name: "BackupConflictError" });
}

describe("a backup's work delivered twice", () => {
  test("C4 a partition and the end of a run, one after the other, change nothing", async () => {
    const engine = testEngine(cluster);
    const deps = depsOf(engine);
    const { plan } = await planBackup(deps, requestOf(engine));
    for (const request of partitionWorks(plan)) {
      const once = await backupPartition(deps, request, noDeadline);
      expect(await backupPartition(deps, request, noDeadline)).toEqual(once);
    }
    const first = await finishBackup(deps, { plan, lease_token: 1 });
    expect(await finishBackup(deps, { plan, lease_token: 2 })).toEqual(first);
    await expectArchivedOnce(engine, 1);
  });

  test("C4 a partition by two workers at once is archived once", async () => {
    const engine = testEngine(cluster);
    const deps = depsOf(engine);
    const { plan } = await planBackup(deps, requestOf(engine));
    for (const request of partitionWorks(plan)) {
      const work = () => backupPartition(deps, request, noDeadline);
      expectOneToWin(await Promise.allSettled([work(), work(), work()]));
      expect(await work()).toMatchObject({ status: "done" });
    }
    await finishBackup(deps, { plan, lease_token: 1 });
    await expectArchivedOnce(engine, 1);
  });

  test("C4 the end of a run by two workers at once commits it once", async () => {
    const engine = testEngine(cluster);
    const deps = depsOf(engine);
    const { plan } = await planBackup(deps, requestOf(engine));
    for (const request of partitionWorks(plan)) await backupPartition(deps, request, noDeadline);
    const finish = (lease_token: number) => finishBackup(deps, { plan, lease_token });
    expectOneToWin(await Promise.allSettled([finish(1), finish(2)]));
    const { stored } = await finish(3);
    expect(stored.manifest.generation).toBe(1);
    await expectArchivedOnce(engine, 1);
  });

  test("C2 C4 a worker whose run another one has finished commits nothing", async () => {
    const engine = testEngine(cluster);
    const deps = depsOf(engine);
    const { plan } = await planBackup(deps, requestOf(engine));
    const [request] = partitionWorks(plan);
    await backupPartition(deps, request!, noDeadline);
    expect(await engine.backup([topic], settings)).toMatchObject({ resumed: true });
    await expect(finishBackup(deps, { plan, lease_token: 1 })).rejects.toMatchObject({
      name: "BackupConflictError",
    });
    await expectArchivedOnce(engine, 1);
  });
});

/** Does what it is told and loses the answer, the first time for each key that matches. */
function losingAnswers(storage: StorageBackend, keys: RegExp): StorageBackend {
  const lost = new Set<string>();
  return new Proxy(storage, {
    get(target, name) {
      if (name !== "createIfAbsent") {
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (key: string, body: Uint8Array) => {
        const outcome = await target.createIfAbsent(key, body);
        if (!keys.test(key) || lost.has(key)) return outcome;
        lost.add(key);
        throw new BackupError("StorageUnavailableError", `${key}: the answer was lost`);
      };
    },
  });
}

const quickly = { attemptsMax: 3, firstPauseMs: 1, pauseMsMax: 1, totalMsMax: 10_000 };
const retry = retryWith({ clock: systemClock, policy: quickly });

describe("answers of the storage that are lost", () => {
  test("C2 C4 all of them once: each document is there once, in its place", async () => {
    const storage = withRetries(losingAnswers(openMemory(), /./), retry);
    const engine = testEngine(cluster, { storage });
    await engine.backup([topic], settings);
    await expectArchivedOnce(engine, 1);
    const restored = randomName("restored");
    expect(await engine.restore({ [topic]: restored })).toMatchObject({ status: "done" });
    await expectRestored(engine, restored);
  });

  test("C2 that of the commit, and the run gave up: it was committed, and is not again", async () => {
    const storage = openMemory();
    const lossy = testEngine(cluster, { storage: losingAnswers(storage, /\/manifests\//) });
    await expect(lossy.backup([topic], settings)).rejects.toMatchObject({
      name: "StorageUnavailableError",
    });
    const engine = testEngine(cluster, { storage, backupId: lossy.backupId });
    await expectArchivedOnce(engine, 1);
    expect(await engine.backup([topic], settings)).toMatchObject({
      resumed: false,
      record_count: 0,
    });
    await expectArchivedOnce(engine, 2);
  });
});

/** The requests of a restore that has its intent and its topic. */
async function beginInto(engine: TestEngine, restored: string) {
  const request = {
    backup_id: engine.backupId,
    window: {},
    topics: { include: [topic], exclude: [] },
    topic_mapping: { [topic]: restored },
    partition_mapping: {},
    create_topics: true,
    allow_non_empty: false,
  };
  const deps = depsOf(engine);
  const begun = await beginRestore(deps, request, false);
  if (begun.status !== "begun") throw new Error(begun.status);
  const { intent } = begun;
  const record = new RestoreRecord(engine.storage, engine.backupId, intent.restore_id);
  const plan = intent.topics[0]!;
  const target = await prepareTopic(deps, record, plan);
  return { deps, requests: partitionRequests(intent, plan, target, 1) };
}

async function expectRestored(
  engine: TestEngine,
  restored: string,
  results?: readonly PartitionResult[],
): Promise<void> {
  const [record] = await restoresOf(engine.storage, engine.backupId);
  const { storage, backupId } = engine;
  const recorded = { storage, backupId, restoreId: record!.restoreId };
  const all = results ?? (await record!.report())!.topics.flatMap(({ partitions }) => partitions);
  expect(all.length).toBe(2);
  const seen = await recordsOf([topic, restored]);
  const byPartition = Map.groupBy(seen, (one) => `${one.topic}/${one.partition}`);
  for (const result of all) {
    const source = byPartition.get(`${topic}/${result.source_partition}`)!;
    expectSameRecords(source, byPartition.get(`${restored}/${result.target_partition}`)!, result);
    expectCompleteMap(await offsetMapOf(recorded, result), source, result);
  }
}

async function resultOf(
  deps: BackupDeps,
  request: RestorePartitionRequest,
): Promise<PartitionResult> {
  const outcome = await restorePartition(deps, request, noDeadline);
  if (outcome.status !== "done") throw new Error(outcome.status);
  return outcome.result;
}

describe("a restore's work delivered twice", () => {
  test("C4 R1 a partition by two workers at once is restored once", async () => {
    const engine = testEngine(cluster);
    await engine.backup([topic], settings);
    const restored = randomName("restored");
    const { deps, requests } = await beginInto(engine, restored);
    const results: PartitionResult[] = [];
    for (const request of requests) {
      const work = () => resultOf(deps, request);
      expectOneToWin(await Promise.allSettled([work(), work()]));
      results.push(await work());
    }
    await expectRestored(engine, restored, results);
  });

  test("C4 a partition that is restored is not sent again", async () => {
    const engine = testEngine(cluster);
    await engine.backup([topic], settings);
    const restored = randomName("restored");
    const { deps, requests } = await beginInto(engine, restored);
    const results: PartitionResult[] = [];
    for (const request of requests) {
      const once = await resultOf(deps, request);
      results.push(once);
      expect(await resultOf(deps, request)).toEqual(once);
    }
    await expectRestored(engine, restored, results);
  });

  test.each([
    ["is lost", true],
    ["will never come, as the batch was lost", false],
  ])("C4 R1 every seventh produce answer %s", async (_, arrives) => {
    let count = 0;
    const lossy: Cluster = {
      ...cluster,
      async produce(request) {
        const isLost = ++count % 7 === 0;
        if (isLost && !arrives) throw lostAnswer;
        const answer = await cluster.produce(request);
        if (isLost) throw lostAnswer;
        return answer;
      },
    };
    const engine = testEngine(lossy);
    await engine.backup([topic], settings);
    const restored = randomName("restored");
    expect(await engine.restore({ [topic]: restored })).toMatchObject({ status: "done" });
    expect(count).toBeGreaterThan(14);
    await expectRestored(engine, restored);
  });
});

const lostAnswer = new BackupError("BrokerUnavailableError", "127.0.0.1: Produce: lost");
