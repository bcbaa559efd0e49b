/** The steps of a restore as separate processes do them, repeated, doubled and cut short. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { restoreMachine } from "#cdk/machines/restore.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { restoreScope } from "#core/restore/scope.ts";
import {
  beginDistributedRestore,
  type DistributedRestoreOptions,
} from "#core/restore/steps/begin.ts";
import {
  type ItemCursor,
  type RestoreItem,
  type RestoreRun,
  restoreItem,
  restoreRun,
} from "#core/restore/steps/contract.ts";
import { recordFailedRestoreItem } from "#core/restore/steps/failed-item.ts";
import { finishDistributedRestore } from "#core/restore/steps/finish.ts";
import { finishRestoredTopics } from "#core/restore/steps/finish-topics.ts";
import { prepareRestore } from "#core/restore/steps/prepare.ts";
import { releaseRestore } from "#core/restore/steps/release.ts";
import { restoreWorkItem, verifyWorkItem } from "#core/restore/steps/work-item.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { circuitOpenRestoreKey } from "#core/storage/restore-work-keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { throwIfCircuitOpen, unlessCircuitOpen } from "#core/work-items/circuit.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { noDeadline, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { recordsOf } from "#test/support/oracle.ts";
import { requestOf } from "#test/support/restore-requests.ts";

/** More than are made ready at the same time. */
const topicCount = 10;
const recordsPerTopic = 30;
const storage = openMemory();
const backupId = randomName("backup");
let cluster: Cluster;
const topics: string[] = [];

beforeAll(async () => {
  cluster = await connectForTests();
  for (let i = 0; i < topicCount; i++) {
    const topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: recordsPerTopic, valueBytes: 5_000 });
    topics.push(topic);
  }
  await testEngine(cluster, { storage, backupId }).backup(topics);
});
afterAll(() => cluster.disconnect());

const whole = Number.MAX_SAFE_INTEGER;
const settings = { checkpoint_interval_ms: 5_000, max_concurrent_partitions: 2 };

/** Keys that were asked for and written, by function. */
type Touched = Record<"read" | "write" | "delete", Set<string>>;

class Distributed {
  readonly mapping: Record<string, string>;
  readonly request: RestoreRequest;
  readonly touched = new Map<string, Touched>();

  constructor(include: readonly string[] = topics) {
    const prefix = randomName("restored");
    this.mapping = Object.fromEntries(include.map((topic) => [topic, `${prefix}-${topic}`]));
    this.request = requestOf({
      backup_id: backupId,
      topics: { include: [...include], exclude: [] },
      topic_mapping: this.mapping,
    });
  }

  /** Of one function: no step keeps anything for the next but what it is handed. */
  deps(name: string): RestoreDeps {
    const touched = this.touched.get(name) ?? newTouched();
    this.touched.set(name, touched);
    const watched = watching(storage, touched);
    const ids = { clock: systemClock, logger: silentLogger, newId: randomId };
    const catalog = openCatalog({ storage: watched, clock: systemClock, newId: randomId });
    return { storage: watched, catalog, cluster, ...ids };
  }

  async begin(options: Partial<DistributedRestoreOptions> = {}): Promise<RestoreRun> {
    const deps = this.deps("plan-restore");
    const all = { start_new: false, settings, workers: 4, ...options };
    const begun = await beginDistributedRestore(deps, this.request, all, noDeadline);
    if (begun.status !== "begun") throw new Error(begun.status);
    return restoreRun.parse(throughJson(begun.run));
  }

  /** Made ready in as many turns as it takes, and how many those are. */
  async prepare(run: RestoreRun, turnMs = whole) {
    for (let turns = 1, next_topic = 0; ; turns++) {
      const deps = this.deps("create-topics");
      const turn = await prepareRestore(deps, { run, next_topic }, 4, turnMs, noDeadline);
      next_topic = turn.next_topic;
      if (turn.status === "continue") continue;
      const body = (await storage.get(turn.items.key)).toString();
      const items = restoreItem.array().parse(JSON.parse(body));
      expect(items).toHaveLength(turn.items.count);
      return { items, turns, prepared_at: turn.prepared_at };
    }
  }

  async restore(run: RestoreRun, item: RestoreItem, turnMs = whole): Promise<number> {
    for (let turns = 1; ; turns++) {
      const deps = this.deps("restore-partition");
      const turn = await restoreWorkItem(deps, { run, item }, turnMs, noDeadline);
      if (turn.status === "done") return turns;
    }
  }

  async verify(run: RestoreRun, item: RestoreItem, turnMs = whole): Promise<number> {
    for (let turns = 1, cursors: readonly ItemCursor[] = []; ; turns++) {
      const request = { run, item, cursors: [...cursors] };
      const deps = this.deps("verify-partition");
      const turn = await verifyWorkItem(deps, request, turnMs, noDeadline);
      if (turn.status === "done") return turns;
      cursors = turn.cursors;
    }
  }

  async finishTopics(run: RestoreRun, turnMs = whole) {
    for (let turns = 1, next_topic = 0; ; turns++) {
      const deps = this.deps("finish-topics");
      const at = { run, next_topic };
      const turn = await finishRestoredTopics(deps, at, ["localhost:9092"], turnMs, noDeadline);
      next_topic = turn.next_topic;
      if (turn.status === "done") return { judgement: turn.judgement, turns };
    }
  }

  finish(toFinish: Parameters<typeof finishDistributedRestore>[1]) {
    return finishDistributedRestore(this.deps("finish-restore"), toFinish, noDeadline);
  }

  async all(run: RestoreRun, turnMs = whole) {
    const { items, prepared_at } = await this.prepare(run, turnMs);
    for (const item of items) {
      await this.restore(run, item, turnMs);
      await this.verify(run, item, turnMs);
    }
    const { judgement } = await this.finishTopics(run, turnMs);
    return { run, prepared_at, judgement };
  }
}

function throughJson(value: unknown): unknown {
  const asText = (_key: string, inner: unknown) => (typeof inner === "bigint" ? `${inner}` : inner);
  return JSON.parse(JSON.stringify(value, asText));
}

function newTouched(): Touched {
  return { read: new Set(), write: new Set(), delete: new Set() };
}

function watching(storage: StorageBackend, touched: Touched): StorageBackend {
  return {
    url: storage.url,
    get: (key) => storage.get(note(touched.read, key)),
    getRange: (key, ...range) => storage.getRange(note(touched.read, key), ...range),
    head: (key) => storage.head(note(touched.read, key)),
    list: (...args) => storage.list(...args),
    listFolders: (prefix) => storage.listFolders(prefix),
    put: (key, body) => storage.put(note(touched.write, key), body),
    createIfAbsent: (key, body) => storage.createIfAbsent(note(touched.write, key), body),
    createStream: (key) => storage.createStream(note(touched.write, key)),
    delete: (keys) => storage.delete(keys.map((key) => note(touched.delete, key))),
    close: () => storage.close(),
  };
}

function note(keys: Set<string>, key: string): string {
  keys.add(key);
  return key;
}

/** As IAM compares: `*` is any text, slashes included. */
function matches(pattern: string, key: string): boolean {
  const source = pattern.split("*").map((part) => part.replaceAll(/[.+?^$()[\]{}|\\]/g, "\\$&"));
  return new RegExp(`^${source.join(".*")}$`).test(key);
}

function expectWithinRoles({ touched: all }: Distributed): void {
  const functions = Object.entries(restoreMachine.functions);
  for (const [name, touched] of all) {
    const { grants } = functions.find(([other]) => other === name)![1];
    for (const [action, keys] of Object.entries(touched)) {
      const patterns = grants[action as keyof Touched] ?? [];
      const isGranted = (key: string) => patterns.some((pattern) => matches(pattern, key));
      expect([name, action, [...keys].filter((key) => !isGranted(key))]).toEqual([
        name,
        action,
        [],
      ]);
    }
  }
}

async function expectRestored({ mapping }: Distributed): Promise<void> {
  const seen = await recordsOf(Object.values(mapping));
  const expected = Object.values(mapping).flatMap(() => numbers(0, recordsPerTopic));
  expect(seen.map(numberOf)).toEqual(expected);
}

describe("a restore in steps", () => {
  test("C4 takes as many turns as it is given time for, and each step done again changes nothing", async () => {
    const machine = new Distributed();
    const run = await machine.begin();
    const { items, turns, prepared_at } = await machine.prepare(run, 1);
    expect(turns).toBeGreaterThan(2);
    expect(await machine.prepare(run)).toMatchObject({ items, turns: 1 });
    for (const item of items) {
      expect(await machine.restore(run, item, 1)).toBeGreaterThan(1);
      expect(await machine.restore(run, item)).toBe(1);
      await machine.verify(run, item, 1);
      expect(await machine.verify(run, item)).toBe(1);
    }
    const finished = await machine.finishTopics(run, 1);
    expect(finished.turns).toBeGreaterThan(1);
    expect(await machine.finishTopics(run)).toEqual({ ...finished, turns: 1 });
    const toFinish = { run, prepared_at, judgement: finished.judgement };
    const result = await machine.finish(toFinish);
    expect(result).toMatchObject({ status: "done", topics: topicCount, failed: { count: 0 } });
    expect(await machine.finish(toFinish)).toEqual(result);
    await expectRestored(machine);
  }, 120_000);

  test("S6 each function touches no key that its role may not", async () => {
    const machine = new Distributed(topics.slice(0, 2));
    const run = await machine.begin();
    await machine.finish(await machine.all(run, 1));
    expectWithinRoles(machine);
    expect(machine.touched.size).toBe(6);
  }, 60_000);

  test("S6 what workers tell one another when nothing answers is within their roles", async () => {
    const machine = new Distributed(topics.slice(0, 2));
    const run = await machine.begin();
    const { items } = await machine.prepare(run);
    const gone = new BackupError("CircuitOpenError", "the brokers of the target answered nothing");
    for (const name of ["restore-partition", "verify-partition"]) {
      const { storage: watched } = machine.deps(name);
      const turn = unlessCircuitOpen(watched, circuitOpenRestoreKey(run), async () => {
        throw gone;
      });
      await expect(turn).rejects.toMatchObject({ name: "CircuitOpenError" });
      await storage.delete([circuitOpenRestoreKey(run)]);
    }
    const failure = { error: "BrokerUnavailableError", message: "kafka:9092: ECONNREFUSED" };
    const deps = machine.deps("fail-restore-partition");
    await recordFailedRestoreItem(deps, { run, item: items[0]! }, failure);
    const { storage: watched } = machine.deps("finish-topics");
    await expect(throwIfCircuitOpen(watched, circuitOpenRestoreKey(run))).rejects.toMatchObject({
      name: "CircuitOpenError",
    });
    expectWithinRoles(machine);
    await releaseRestore(machine.deps("fail-restore"), run);
  });

  test("a worker that failed as a whole leaves its unverified partitions failed, and the rest done", async () => {
    const machine = new Distributed(topics.slice(0, 6));
    const run = await machine.begin();
    const { items, prepared_at } = await machine.prepare(run);
    const [first, second] = items;
    await machine.restore(run, first!);
    await machine.verify(run, first!);
    await machine.restore(run, second!);
    const failure = { error: "Runtime.ExitError", message: "signal: killed" };
    const deps = machine.deps("fail-restore-partition");
    for (const item of [first!, second!])
      await recordFailedRestoreItem(deps, { run, item }, failure);
    const { judgement } = await machine.finishTopics(run);
    expect(judgement.failed.count).toBe(second!.partitions.length);
    for (const failed of judgement.failed.first) expect(failed).toMatchObject(failure);
    const incomplete = await machine.finish({ run, prepared_at, judgement });
    expect(incomplete).toMatchObject({
      status: "incomplete",
      partitions: first!.partitions.length,
    });
    // Its answer was lost, and its lease is gone.
    expect(await machine.finish({ run, prepared_at, judgement })).toMatchObject({
      ...{ status: "incomplete", failed: judgement.failed },
    });
    const again = await machine.begin();
    expect(again).toMatchObject({ restore_id: run.restore_id, resumed: true });
    const result = await machine.finish(await machine.all(again));
    expect(result).toMatchObject({ status: "done", partitions: 6, resumed: true });
    await expectRestored(machine);
  }, 60_000);

  test("C5 a step whose lease was released throws and writes nothing", async () => {
    const machine = new Distributed(topics.slice(0, 1));
    const run = await machine.begin();
    const { items, prepared_at } = await machine.prepare(run);
    await releaseRestore(machine.deps("fail-restore"), run);
    const conflict = expect.objectContaining({ name: "BackupConflictError" });
    await expect(machine.prepare(run)).rejects.toEqual(conflict);
    await expect(machine.restore(run, items[0]!)).rejects.toEqual(conflict);
    await expect(machine.verify(run, items[0]!)).rejects.toEqual(conflict);
    await expect(machine.finishTopics(run)).rejects.toEqual(conflict);
    const record = new RestoreRecord(storage, run.backup_id, run.restore_id);
    const at = { topic: items[0]!.partitions[0]!.target_topic, partition: 0 };
    expect(await record.result(at)).toBeUndefined();
    expect(prepared_at).toBeGreaterThan(0n);
  });

  test("R1 two workers at one item, both at once, bring each record once", async () => {
    const machine = new Distributed(topics.slice(0, 3));
    const run = await machine.begin();
    const { items, prepared_at } = await machine.prepare(run);
    for (const item of items) {
      const workers = [1, 2, 3].map((turnMs) => machine.restore(run, item, turnMs));
      await Promise.all(workers);
      await Promise.all([1, 2].map((turnMs) => machine.verify(run, item, turnMs)));
    }
    const finishes = await Promise.all([machine.finishTopics(run), machine.finishTopics(run)]);
    const [{ judgement }] = finishes;
    const result = await machine.finish({ run, prepared_at, judgement });
    expect(result).toMatchObject({ status: "done", failed: { count: 0 } });
    await expectRestored(machine);
  }, 60_000);

  test("under a lease that is lent, it is neither waited for nor released", async () => {
    const machine = new Distributed(topics.slice(0, 1));
    const { catalog } = machine.deps("owner");
    const scope = restoreScope(backupId, cluster.clusterId);
    const lease = await catalog.acquireLease(scope, 0, AbortSignal.timeout(10_000));
    const run = await machine.begin({ lent: lease.holder });
    await machine.finish(await machine.all(run));
    await lease.renew();
    await lease.release();
    const late = machine.begin({ lent: lease.holder, start_new: true });
    await expect(late).rejects.toMatchObject({ name: "BackupConflictError" });
  }, 60_000);
});
