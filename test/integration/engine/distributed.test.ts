/** The steps of a backup as separate processes do them, repeated, doubled and cut short. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupDeps, BackupRequest } from "#core/backup/contract.ts";
import { planBackup } from "#core/backup/plan.ts";
import { beginBackup } from "#core/backup/steps/begin.ts";
import { commitBackup } from "#core/backup/steps/commit.ts";
import type { BegunBackup, WorkItemOutcome } from "#core/backup/steps/contract.ts";
import { recordFailedItem } from "#core/backup/steps/failed-items.ts";
import { judgeBackup } from "#core/backup/steps/judge.ts";
import { releaseRun } from "#core/backup/steps/release.ts";
import { backupWorkItem } from "#core/backup/steps/work-item.ts";
import { type WorkItem, workItem } from "#core/backup/work-items.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey, newestManifestKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import { appendNumbered } from "#test/support/append.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, segmentSettings, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";

let cluster: Cluster;
let topic: string;
/** Enough for two work items. */
const sizes = [40, 3_000, 7, 5, 1, 20, 9];
const records = sizes.reduce((sum, size) => sum + size, 0);

beforeAll(async () => {
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: sizes.length });
  for (const [partition, count] of sizes.entries()) {
    await appendNumbered(cluster, { topic, partition, from: 0, count, valueBytes: 2_000 });
  }
});
afterAll(() => cluster.disconnect());

interface Distributed {
  readonly deps: BackupDeps;
  readonly storage: StorageBackend;
  readonly request: BackupRequest;
  begin(): Promise<BegunBackup>;
  items(run: BegunBackup): Promise<WorkItem[]>;
  turn(run: BegunBackup, item: WorkItem, turnMs?: number): Promise<WorkItemOutcome>;
  finish(run: BegunBackup): ReturnType<typeof commitBackup>;
}

function distributed(topics: readonly string[] = [topic]): Distributed {
  const storage = openMemory();
  const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
  const ids = { clock: systemClock, logger: silentLogger, newId: randomId };
  const deps = { storage, catalog, cluster, ...ids };
  const request: BackupRequest = {
    backup_id: randomName("distributed"),
    topics: { include: [...topics], exclude: [] },
    segments: segmentSettings,
    max_concurrent_partitions: 2,
  };
  return {
    deps,
    storage,
    request,
    begin: () => beginBackup(deps, request, 4, noDeadline),
    items: async ({ items }) =>
      workItem.array().parse(JSON.parse((await storage.get(items.key)).toString())),
    turn: (run, item, turnMs = Number.POSITIVE_INFINITY) =>
      backupWorkItem(deps, { run, item }, turnMs, noDeadline),
    finish: async (run) =>
      commitBackup(deps, run, await judgeBackup(deps, run, noDeadline), noDeadline),
  };
}

async function readAll({ items, turn }: Distributed, run: BegunBackup): Promise<void> {
  for (const item of await items(run)) await turn(run, item);
}

describe("C4 what is done again changes nothing", () => {
  test("a commit whose answer was lost gives the same answer, its state and lease long gone", async () => {
    const machine = distributed();
    const run = await machine.begin();
    await readAll(machine, run);
    const judged = await judgeBackup(machine.deps, run, noDeadline);
    const first = await commitBackup(machine.deps, run, judged, noDeadline);
    expect(first).toMatchObject({ status: "done", generation: 1, record_count: records });
    expect(await commitBackup(machine.deps, run, judged, noDeadline)).toEqual(first);
    expect((await machine.begin()).items.count).toBe(0);
  });

  test("a work item that two workers have at the same time comes out once", async () => {
    const machine = distributed();
    const run = await machine.begin();
    for (const item of await machine.items(run)) {
      const untilDone = async () => {
        while ((await machine.turn(run, item, 1)).status === "continue");
      };
      await Promise.all([untilDone(), untilDone(), untilDone()]);
    }
    const result = await machine.finish(run);
    expect(result).toMatchObject({ status: "done", record_count: records, failed: { count: 0 } });
    const engine = testEngine(cluster);
    await engine.backup([topic]);
    expect(await archivedPartitions(machine.deps, run.backup_id)).toEqual(
      await archivedPartitions(engine, engine.backupId),
    );
  });

  test("a worker's turn after the item is done finds nothing to do", async () => {
    const machine = distributed();
    const run = await machine.begin();
    await readAll(machine, run);
    const before = (await collect(machine.storage.list(`${run.backup_id}/topics/`))).length;
    for (const item of await machine.items(run)) {
      expect(await machine.turn(run, item)).toEqual({
        status: "done",
        records: 0,
        bytes: 0,
        partitions_left: 0,
      });
    }
    expect(await collect(machine.storage.list(`${run.backup_id}/topics/`))).toHaveLength(before);
    await machine.finish(run);
  });
});

test("K6 a run that takes no topic, as it may, leaves all that earlier runs backed up", async () => {
  const machine = distributed();
  const run = await machine.begin();
  await readAll(machine, run);
  await machine.finish(run);
  const { catalog } = machine.deps;
  const before = (await catalog.latestManifest(run.backup_id))!.manifest;

  const topics = { include: [`${randomName("absent")}-*`], exclude: [], allow_no_match: true };
  const request = { ...machine.request, topics, max_bytes_per_second: 50_000 };
  const empty = await beginBackup(machine.deps, request, 4, noDeadline);
  expect(empty).toMatchObject({ topics: 0, partitions: 0, items: { count: 0 } });
  expect(await machine.items(empty)).toEqual([]);
  expect(await machine.finish(empty)).toMatchObject({ status: "done", generation: 2 });
  expect((await catalog.latestManifest(run.backup_id))!.manifest.topics).toEqual(before.topics);
});

describe("C3 a run that was given up", () => {
  test("is continued by the next one, without what it had read", async () => {
    const machine = distributed();
    const run = await machine.begin();
    const [largest] = await machine.items(run);
    await machine.turn(run, largest!);
    await releaseRun(machine.deps, run);
    await releaseRun(machine.deps, run);

    const next = await machine.begin();
    expect(next).toMatchObject({ resumed: true, state_id: run.state_id });
    expect(next.run_id).not.toBe(run.run_id);
    const left = (await machine.items(next)).flatMap(({ partitions }) => partitions);
    const done = largest!.partitions.map(({ partition }) => partition);
    expect(left.map(({ partition }) => partition).filter((one) => done.includes(one))).toEqual([]);
    await readAll(machine, next);
    expect(await machine.finish(next)).toMatchObject({ status: "done", record_count: records });
    const request = { backup_id: run.backup_id, level: "deep" as const };
    const report = await runValidation(machine.deps, request, noDeadline);
    expect(report.status).toBe("sound");
  });

  test("can do nothing more once another holds the lease", async () => {
    const machine = distributed();
    const lost = await machine.begin();
    const [item] = await machine.items(lost);
    await releaseRun(machine.deps, lost);
    const next = await machine.begin();
    const conflict = expect.objectContaining({ name: "BackupConflictError" });
    await expect(machine.turn(lost, item!)).rejects.toEqual(conflict);
    await expect(judgeBackup(machine.deps, lost, noDeadline)).rejects.toEqual(conflict);
    const judged = await judgeBackup(machine.deps, next, noDeadline);
    await expect(commitBackup(machine.deps, lost, judged, noDeadline)).rejects.toEqual(conflict);
    await releaseRun(machine.deps, lost);
    await machine.turn(next, (await machine.items(next))[0]!);
  });
});

describe("C5 a run on a newer manifest than the one that a planning process has read", () => {
  /** Two runs: one that is committed, one that is open on top of it. */
  async function openOnTop() {
    const machine = distributed();
    const first = await machine.begin();
    await readAll(machine, first);
    await machine.finish(first);
    const open = await machine.begin();
    expect(await machine.deps.catalog.openRun(open.backup_id)).toMatchObject({
      ...{ run_id: open.state_id, base_generation: 1 },
    });
    return { machine, open };
  }

  test("is left alone by who was paused since, and can be committed", async () => {
    const { machine, open } = await openOnTop();
    const { catalog } = machine.deps;
    let looks = 0;
    const paused: Catalog = {
      ...catalog,
      // Read before the first run was committed.
      latestManifest: async (id) => (looks++ === 0 ? undefined : catalog.latestManifest(id)),
    };
    const planning = planBackup({ ...machine.deps, catalog: paused }, machine.request);
    await expect(planning).rejects.toMatchObject({
      name: "BackupConflictError",
      message: expect.stringContaining("is at generation 1 by now, and was at 0"),
    });
    expect(await catalog.openRun(open.backup_id)).toMatchObject({ run_id: open.state_id });
    expect(await machine.finish(open)).toMatchObject({ status: "done", generation: 2 });
  });

  test("is closed where that manifest is gone, so that the next run can begin", async () => {
    const { machine, open } = await openOnTop();
    await releaseRun(machine.deps, open);
    const manifests = [manifestKey(1), newestManifestKey];
    await machine.storage.delete(manifests.map((key) => inBackup(open.backup_id, key)));
    const next = await machine.begin();
    expect(next).toMatchObject({ resumed: false });
    await readAll(machine, next);
    expect(await machine.finish(next)).toMatchObject({ generation: 1, record_count: records });
  });
});

describe("K7 a worker that fails as a whole", () => {
  test("fails the partitions of its item that were not read, and no others", async () => {
    const machine = distributed();
    const run = await machine.begin();
    const [first, ...others] = await machine.items(run);
    for (const item of others) await machine.turn(run, item);
    const failure = { error: "Runtime.ExitError", message: "out of memory" };
    await recordFailedItem(machine.deps, { run, item: first! }, failure);
    for (const item of others) await recordFailedItem(machine.deps, { run, item }, failure);
    const result = await machine.finish(run);
    expect(result.status).toBe("done_with_gaps");
    expect(result.failed.first).toEqual(
      first!.partitions.map(({ partition }) => ({ topic, partition, ...failure, hint: "" })),
    );
    expect(result.record_count).toBeLessThan(records);
  });

  test("fails the run when it was the only one, by the same name", async () => {
    const machine = distributed();
    const run = await machine.begin();
    const failure = { error: "AccessDeniedError", message: "no login" };
    for (const item of await machine.items(run)) {
      await recordFailedItem(machine.deps, { run, item }, failure);
    }
    await expect(machine.finish(run)).rejects.toMatchObject({
      name: "AccessDeniedError",
      message: failure.message,
    });
  });

  test("C3 stops the run where its brokers are gone, and the next one reads the rest", async () => {
    const machine = distributed();
    const run = await machine.begin();
    const [gone, ...others] = await machine.items(run);
    for (const item of others) await machine.turn(run, item);
    const failure = { error: "BrokerUnavailableError", message: "kafka:9092: ECONNREFUSED" };
    await recordFailedItem(machine.deps, { run, item: gone! }, failure);
    await expect(machine.finish(run)).rejects.toMatchObject({
      name: "CircuitOpenError",
      message: expect.stringContaining(failure.message),
    });
    await releaseRun(machine.deps, run);
    const next = await machine.begin();
    expect(next).toMatchObject({ resumed: true, state_id: run.state_id });
    await readAll(machine, next);
    expect(await machine.finish(next)).toMatchObject({ status: "done", record_count: records });
  });
});

test("turns too short to open a partition get ahead all the same", async () => {
  const machine = distributed();
  const run = await machine.begin();
  const [item] = await machine.items(run);
  let turns = 0;
  let read = 0;
  for (; turns < 100; turns++) {
    const { status, records } = await machine.turn(run, item!, 0);
    read += records;
    if (status === "done") break;
    expect(records).toBeGreaterThan(0);
  }
  expect(turns).toBeGreaterThan(1);
  expect(read).toBeGreaterThanOrEqual(3_000);
});

test("a topic that is not there leaves the lease free", async () => {
  const machine = distributed([randomName("absent")]);
  await expect(machine.begin()).rejects.toMatchObject({ name: "TopicNotFoundError" });
  const scope = { backupId: machine.request.backup_id, purpose: "backup" };
  const lease = await machine.deps.catalog.acquireLease(scope, 0, AbortSignal.timeout(5_000));
  await lease.release();
});
