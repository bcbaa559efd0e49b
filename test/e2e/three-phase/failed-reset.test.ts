/** R7: resets that fail, are rolled back to the safety snapshot, and are repeated alone. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster, NewOffset } from "#core/kafka/cluster.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { deadlineAt } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import { abandonThreePhase } from "#core/three-phase/abandon.ts";
import type { ThreePhaseRequest, ThreePhaseResult } from "#core/three-phase/contract.ts";
import { threePhasesOf } from "#core/three-phase/three-phase-record.ts";
import {
  copyOf,
  requestOf,
  runPhases,
  threePhaseDeps,
} from "#test/e2e/three-phase/three-phases.ts";
import { appendNumbered } from "#test/support/append.ts";
import { noDeadline, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { type HeldGroups, holdGroups } from "#test/support/members.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
let source: string;
let storage: StorageBackend;
let backupId: string;
/** Each stands at the same offset of the source, 20 and 60 in its two partitions. */
const groups = [1, 2, 3].map((number) => randomName(`group-${number}`));

beforeAll(async () => {
  cluster = await connectForTests();
  source = await createTopic(cluster, { partitionCount: 2, prefix: "orders" });
  for (const partition of [0, 1]) {
    await appendNumbered(cluster, { topic: source, partition, from: 0, count: 100 });
  }
  for (const group of groups) await commit(group, at(source, 0, 20n), at(source, 1, 60n));
  storage = openMemory();
  const engine = testEngine(cluster, { storage });
  backupId = engine.backupId;
  await engine.backup([source]);
});
afterAll(() => cluster.disconnect());

function at(topic: string, partition: number, offset: bigint, metadata = ""): NewOffset {
  return { topic, partition, offset, leaderEpoch: -1, metadata };
}

async function commit(group: string, ...offsets: NewOffset[]): Promise<void> {
  const results = await cluster.commitOffsets(group, offsets);
  expect(results.map(({ error }) => error)).toEqual(offsets.map(() => undefined));
}

/** Of one topic: `partition offset metadata`. */
async function standing(group: string, topic: string): Promise<string[]> {
  const { groups: found } = await cluster.committedOffsets([group]);
  return (found[0]?.offsets ?? [])
    .filter((one) => one.topic === topic)
    .map(({ partition, offset, metadata }) => `${partition} ${offset} ${metadata}`)
    .sort();
}

interface Case {
  readonly target: string;
  readonly request: ThreePhaseRequest;
  readonly store: StorageBackend;
  run(on?: Cluster, resume?: boolean): Promise<ThreePhaseResult>;
}

/** Into a topic that holds ten records, in which the first group has a position already. */
async function caseOf(changes: Parameters<typeof requestOf>[2] = {}): Promise<Case> {
  const target = await createTopic(cluster, { partitionCount: 2, prefix: "target" });
  await appendNumbered(cluster, { topic: target, from: 0, count: 10 });
  await commit(groups[0]!, at(target, 0, 3n, "mine"));
  const request = requestOf(
    backupId,
    { [source]: target },
    { groups: { groups }, restore: { allow_non_empty: true }, ...changes },
  );
  const store = await copyOf(storage);
  const run = (on = cluster, resume = false) =>
    runPhases(threePhaseDeps(store, on), request, { resume });
  return { target, request, store, run };
}

async function errorOf(work: Promise<unknown>): Promise<BackupError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BackupError);
  return error as BackupError;
}

/** Commits of the group fail with an error of the broker, after the others' were sent. */
function refusingCommitsOf(group: string): Cluster {
  return wrappedCluster(cluster, {
    commitOffsets: async (name, offsets) => {
      if (name !== group) return cluster.commitOffsets(name, offsets);
      const error = new BackupError("AccessDeniedError", "GROUP_AUTHORIZATION_FAILED");
      return offsets.map(({ topic, partition }) => ({ topic, partition, error }));
    },
  });
}

async function expectAsBefore(target: string): Promise<void> {
  expect(await standing(groups[0]!, target)).toEqual(["0 3 mine"]);
  expect(await standing(groups[1]!, target)).toEqual([]);
  expect(await standing(groups[2]!, target)).toEqual([]);
}

async function expectReset(target: string): Promise<void> {
  // Ten records were there before.
  for (const group of groups) expect(await standing(group, target)).toEqual(["0 30 ", "1 60 "]);
}

describe("R7 a reset that fails for one group", () => {
  let one: Case;
  let error: BackupError;
  beforeEach(async () => {
    one = await caseOf();
    error = await errorOf(one.run(refusingCommitsOf(groups[2]!)));
  });

  test("puts all groups back to the safety snapshot, with metadata and absent entries, and says so", async () => {
    expect(error.name).toBe("OffsetResetFailedError");
    expect(error.message).toContain(groups[2]);
    expect(error.message).toContain("GROUP_AUTHORIZATION_FAILED");
    expect(error.message).toContain("all groups stand where they stood before");
    expect(error.hint).toContain("run the same command again");
    await expectAsBefore(one.target);
    const [record] = await threePhasesOf(one.store, backupId);
    expect(await record!.resetCount()).toBe(1);
    expect(await record!.report()).toBeUndefined();
  });

  test("is repeated alone by --resume, and a second time it is done already", async () => {
    const [record] = await threePhasesOf(one.store, backupId);
    const restored = await record!.restored();
    const { status, report } = await one.run(cluster, true);
    expect(status).toBe("done");
    expect(report).toMatchObject({
      resumed: true,
      earlier_resets: 1,
      restore_id: restored!.restore_id,
      outcome: "reset",
    });
    await expectReset(one.target);
    const ends = await cluster.logEndOffset({ topic: one.target, partition: 0 });
    expect(ends.endOffset).toBe(110n);

    // The groups have gone on since: nothing may wind them back.
    await commit(groups[0]!, at(one.target, 0, 44n));
    expect(await one.run()).toMatchObject({ status: "already_done" });
    expect(await standing(groups[0]!, one.target)).toEqual(["0 44 ", "1 60 "]);
  });

  test("is repeated with the positions of before, whatever was backed up meanwhile", async () => {
    await commit(groups[0]!, at(source, 0, 90n));
    await testEngine(cluster, { storage: one.store, backupId }).backup([source]);
    await commit(groups[0]!, at(source, 0, 20n));
    expect((await one.run(cluster, true)).status).toBe("done");
    await expectReset(one.target);
  });

  test("is named to who would resume it with other options, with what differs", async () => {
    const [record] = await threePhasesOf(one.store, backupId);
    const deps = threePhaseDeps(one.store, cluster);
    const resumed = (request: ThreePhaseRequest) =>
      errorOf(runPhases(deps, request, { resume: true }));
    const { restore } = one.request;
    const window = { end: BigInt(Date.now()) };
    const others: [ThreePhaseRequest, string][] = [
      [{ ...one.request, restore: { ...restore, window }, offset_source: "latest" }, "time window"],
      [{ ...one.request, groups: { groups: groups.slice(1) } }, "selection of groups"],
      [{ ...one.request, offset_source: "current" }, "offset source (latest)"],
      [{ ...one.request, strategy: "manual" }, "strategy (offset-map)"],
      [
        { ...one.request, restore: { ...restore, topic_mapping: {} } },
        "selection or mapping of topics",
      ],
    ];
    for (const [request, other] of others) {
      const error = await resumed(request);
      expect(error.name).toBe("BackupNotFoundError");
      expect(error.message).toContain(
        `${record!.id} is unfinished in phase reset, but is of another ${other}`,
      );
      expect(error.message.endsWith(other)).toBe(true);
      expect(error.hint).toContain(`--abandon ${record!.id}`);
    }
  });

  test("is said to be given up to who would resume it then", async () => {
    const [record] = await threePhasesOf(one.store, backupId);
    const at = { backup_id: backupId, three_phase_id: record!.id };
    await abandonThreePhase(threePhaseDeps(one.store, cluster), at, noDeadline);
    const error = await errorOf(one.run(cluster, true));
    expect(error.message).toContain(`${record!.id} was given up at 2`);
    expect(error.hint).not.toContain("Nothing was written");
  });

  test("is said to be finished to who would resume it when its topics have changed", async () => {
    const [record] = await threePhasesOf(one.store, backupId);
    await one.run();
    await appendNumbered(cluster, { topic: one.target, from: 0, count: 1 });
    const error = await errorOf(one.run(cluster, true));
    expect(error.message).toContain(`${record!.id} was finished at 2`);
    expect(error.hint).toContain("--new");
  });

  test("stands in the way of another reset of its groups until it is given up", async () => {
    const [record] = await threePhasesOf(one.store, backupId);
    const deps = threePhaseDeps(one.store, cluster);
    const other = requestOf(
      backupId,
      { [source]: randomName("restored") },
      { groups: { groups: groups.slice(0, 1) } },
    );
    const conflict = await errorOf(runPhases(deps, other));
    expect(conflict.name).toBe("BackupConflictError");
    expect(conflict.message).toContain(record!.id);
    const { storage: store } = deps;
    const otherBackup = testEngine(cluster, { storage: store });
    await otherBackup.backup([source]);
    const outOfOther = { ...other, restore: { ...other.restore, backup_id: otherBackup.backupId } };
    expect((await errorOf(runPhases(deps, outOfOther))).message).toContain(record!.id);
    const given = await abandonThreePhase(
      deps,
      { backup_id: backupId, three_phase_id: record!.id },
      noDeadline,
    );
    expect(given.safety_snapshot_id).toBe((await record!.snapshot())!.snapshot_id);
    expect((await runPhases(deps, other)).status).toBe("done");
  });
});

describe("R7 a group that moves on between two attempts to set offsets", () => {
  let one: Case;
  let own: string;
  let second: BackupError;
  beforeEach(async () => {
    one = await caseOf();
    own = await createTopic(cluster, { prefix: "own" });
    await appendNumbered(cluster, { topic: own, from: 0, count: 10 });
    await errorOf(one.run(refusingCommitsOf(groups[2]!)));
    await commit(groups[0]!, at(one.target, 0, 7n, "went on"), at(own, 0, 5n));
    await commit(groups[1]!, at(one.target, 1, 9n, "began"));
    second = await errorOf(one.run(refusingCommitsOf(groups[2]!)));
  });

  test("is put back to where it stood before the second one, not before the first", async () => {
    expect(second.name).toBe("OffsetResetFailedError");
    expect(await standing(groups[0]!, one.target)).toEqual(["0 7 went on"]);
    expect(await standing(groups[1]!, one.target)).toEqual(["1 9 began"]);
    expect(await standing(groups[0]!, own)).toEqual(["0 5 "]);
  });

  test("stands in the snapshot that the error names, and the report names both", async () => {
    const named = String(second.details.snapshot_id);
    expect(second.message).toContain(`stood before, as in snapshot ${named}`);
    const before = await readSnapshot(one.store, named);
    expect(before.description).toContain("before reset 2 of");
    const partitions = before.consumer_groups[groups[0]!]!.partitions;
    expect(partitions[`${one.target}-0`]).toMatchObject({ offset: 7n, metadata: "went on" });
    expect(partitions[`${own}-0`]).toMatchObject({ offset: 5n });

    const { report } = await one.run();
    const first = await readSnapshot(one.store, report!.safety_snapshot_id);
    expect(first.consumer_groups[groups[0]!]!.partitions[`${own}-0`]).toBeUndefined();
    const last = await readSnapshot(one.store, report!.reset_snapshot_id!);
    expect(last.description).toContain("before reset 3 of");
    expect(await standing(groups[0]!, own)).toEqual(["0 5 "]);
    await expectReset(one.target);
  });
});

test("R7 the safety snapshot is durable before anything is written to the target", async () => {
  const target = randomName("restored");
  const store = await copyOf(storage);
  const snapshotsAt = { restoring: [] as number[], resetting: [] as number[] };
  const counted = async (during: keyof typeof snapshotsAt) => {
    let snapshots = 0;
    for await (const _ of store.list("snapshots/")) snapshots += 1;
    snapshotsAt[during].push(snapshots);
  };
  const restoring = () => counted("restoring");
  const watched = wrappedCluster(cluster, {
    createTopics: (topics) => restoring().then(() => cluster.createTopics(topics)),
    alterTopicSettings: (...args) => restoring().then(() => cluster.alterTopicSettings(...args)),
    produce: (request) => restoring().then(() => cluster.produce(request)),
    commitOffsets: (...args) => counted("resetting").then(() => cluster.commitOffsets(...args)),
  });
  const request = requestOf(backupId, { [source]: target }, { groups: { groups } });
  const { report } = await runPhases(threePhaseDeps(store, watched), request);
  expect(snapshotsAt.restoring.length).toBeGreaterThan(2);
  expect(new Set(snapshotsAt.restoring)).toEqual(new Set([1]));
  expect(snapshotsAt.resetting).toEqual([2, 2, 2]);
  const snapshot = await readSnapshot(store, report!.safety_snapshot_id);
  expect(Object.keys(snapshot.consumer_groups).sort()).toEqual([...groups].sort());
});

describe("R7 a lease that is lost while offsets are set", () => {
  let one: Case;
  beforeEach(async () => {
    one = await caseOf();
    const abort = new AbortController();
    const losing = wrappedCluster(cluster, {
      commitOffsets: async (group, offsets) => {
        abort.abort(new BackupError("BackupConflictError", "another run holds the lease"));
        return cluster.commitOffsets(group, offsets);
      },
    });
    const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY, abort.signal);
    const deps = threePhaseDeps(one.store, losing);
    const error = await errorOf(runPhases(deps, one.request, {}, deadline));
    expect(error.message).toBe("another run holds the lease");
  });

  test("leaves the groups to whoever holds it now", async () => {
    expect(await standing(groups[0]!, one.target)).toEqual(["0 30 ", "1 60 "]);
    expect((await one.run()).status).toBe("done");
    await expectReset(one.target);
  });

  test("is followed by an attempt that leaves alone what a group has read on since", async () => {
    await commit(groups[0]!, at(one.target, 0, 44n, "read on"));
    const error = await errorOf(one.run(refusingCommitsOf(groups[2]!)));
    expect(error.message).toContain("all groups stand where they stood before");
    expect(await standing(groups[0]!, one.target)).toEqual(["0 44 read on"]);
    expect(await standing(groups[1]!, one.target)).toEqual([]);
    expect(await standing(groups[2]!, one.target)).toEqual([]);
  });

  test("is followed by an attempt that puts back what was set, though it gets no plan of its own", async () => {
    const unplannable = wrappedCluster(cluster, {
      listOffsets: () => Promise.reject(new BackupError("BrokerUnavailableError", "no leader")),
    });
    const error = await errorOf(one.run(unplannable));
    expect(error.name).toBe("OffsetResetFailedError");
    expect(error.message).toContain("no leader; no group was touched");
    await expectAsBefore(one.target);
  });
});

test("R7 a store that fails as well does not keep groups from being put back", async () => {
  const one = await caseOf();
  const failing = new Proxy(one.store, {
    get: (store, name) => {
      if (name !== "createIfAbsent") return Reflect.get(store, name).bind(store);
      return (key: string, body: Uint8Array) => {
        if (!key.endsWith("rolled-back.json")) return store.createIfAbsent(key, body);
        throw new BackupError("StorageUnavailableError", "the disk is gone");
      };
    },
  });
  const deps = threePhaseDeps(failing, refusingCommitsOf(groups[2]!));
  const error = await errorOf(runPhases(deps, one.request));
  expect(error.name).toBe("OffsetResetFailedError");
  expect(error.message).toContain("all groups stand where they stood before");
  expect(error.message).toContain("could not be recorded: the disk is gone");
  await expectAsBefore(one.target);
  expect((await one.run(cluster, true)).status).toBe("done");
  await expectReset(one.target);
});

describe("R7 a member that joins between the checks and the commit", () => {
  const joined = groups[1]!;
  let held: Promise<HeldGroups> | undefined;

  test("fails the reset, and the other groups are put back", async () => {
    const one = await caseOf();
    const joining = wrappedCluster(cluster, {
      commitOffsets: async (group, offsets) => {
        held ??= holdGroups(one.target, [`classic:${joined}`]);
        await held;
        return cluster.commitOffsets(group, offsets);
      },
    });
    try {
      const error = await errorOf(one.run(joining));
      expect(error.name).toBe("OffsetResetFailedError");
      expect(error.message).toContain(joined);
      expect(await standing(groups[0]!, one.target)).toEqual(["0 3 mine"]);
      expect(await standing(groups[2]!, one.target)).toEqual([]);
      const refused = await errorOf(one.run(cluster, true));
      expect(refused.name).toBe("GroupNotEmptyError");
      expect(refused.message).toContain(`classic:${joined}`);
    } finally {
      await (await held)?.release();
    }
    const { status } = await one.run(cluster, true);
    expect(status).toBe("done");
    await expectReset(one.target);
  });
});

describe("R7 what cannot be done is refused before anything is written", () => {
  const missing = (name: string) => ({ groups: { groups: [name] } });
  const impossible = [
    ["a group of which nothing is known", missing("nobody"), "PreflightRefusedError"],
    [
      "headers that the restore does not add",
      { strategy: "header-based" },
      "PreflightRefusedError",
    ],
    ["a snapshot that is not there", { offset_source: "snapshot:x" }, "SnapshotNotFoundError"],
    ["a strategy that leaves groups alone", { strategy: "skip" }, "InvalidRequestError"],
  ] as const;

  test.each(impossible)("%s", async (_, changes, name) => {
    const target = randomName("restored");
    const store = await copyOf(storage);
    const request = requestOf(backupId, { [source]: target }, { groups: { groups }, ...changes });
    const error = await errorOf(runPhases(threePhaseDeps(store, cluster), request));
    expect(error.name).toBe(name);
    expect(await cluster.describeTopics([target])).toEqual([]);
    expect(await threePhasesOf(store, backupId)).toEqual([]);
  });

  test("a resumption of nothing", async () => {
    const one = await caseOf();
    const error = await errorOf(one.run(cluster, true));
    expect(error.name).toBe("BackupNotFoundError");
    await expectAsBefore(one.target);
  });
});

test("R7 stopped while it sets offsets, groups are put back and the same command goes on", async () => {
  const underWayMs = 300;
  const one = await caseOf();
  const abort = new AbortController();
  const stopping = wrappedCluster(cluster, {
    commitOffsets: async (group, offsets) => {
      // The first one is still under way when the others find that they shall not begin.
      if (!abort.signal.aborted) {
        abort.abort(new BackupError("CancelledError", "stopped by SIGINT"));
        await sleep(underWayMs);
      }
      return cluster.commitOffsets(group, offsets);
    },
  });
  const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY, abort.signal);
  const deps = threePhaseDeps(one.store, stopping);
  const error = await errorOf(runPhases(deps, one.request, {}, deadline));
  expect(error.name).toBe("CancelledError");
  expect(error.message).toContain("all groups stand where they stood before");
  await sleep(2 * underWayMs);
  await expectAsBefore(one.target);
  expect((await one.run()).status).toBe("done");
  await expectReset(one.target);
});

test("a strategy that only recommends reports and sets nothing", async () => {
  const one = await caseOf({ strategy: "manual", groups: { groups } });
  const { report } = await one.run();
  expect(report!.outcome).toBe("recommended");
  expect(report!.groups[0]!.partitions.map(({ target_offset }) => target_offset)).toEqual([
    30n,
    60n,
  ]);
  await expectAsBefore(one.target);
});

test("current is asked of a target that is the backup's own cluster, and refused of another one", async () => {
  const one = await caseOf({ offset_source: "current", groups: { groups } });
  const other = wrappedCluster(cluster, { clusterId: "another" });
  const error = await errorOf(one.run(other));
  expect(error.name).toBe("InvalidRequestError");
  expect(error.hint).toContain("`source`");
  expect((await one.run()).report!.offset_source).toBe("current");
  await expectReset(one.target);
});

test("a restore that is not complete touches no group, and the same command goes on with both", async () => {
  const one = await caseOf();
  const failing = wrappedCluster(cluster, {
    produce: (request) => {
      if (request.partition === 0) return cluster.produce(request);
      throw new BackupError("RecordTooLargeError", `${request.topic}-1: no room`);
    },
  });
  const { status, report, restore } = await one.run(failing);
  expect(status).toBe("incomplete");
  expect(report).toBeUndefined();
  expect(restore.failed).toMatchObject([{ partition: 1 }]);
  await expectAsBefore(one.target);
  expect((await one.run()).status).toBe("done");
  await expectReset(one.target);
});

test("of two at the same time one restores and resets, the other waits its turn or is refused", async () => {
  const one = await caseOf();
  const outcomes = await Promise.all(
    [one.run(), one.run()].map((run) =>
      run.then(
        ({ status }): string => status,
        (error: Error) => error.name,
      ),
    ),
  );
  expect(outcomes.filter((outcome) => outcome === "done")).toHaveLength(1);
  const other = outcomes.find((outcome) => outcome !== "done");
  expect(["already_done", "BackupConflictError"]).toContain(other);
  expect((await one.run()).status).toBe("already_done");
  expect(await threePhasesOf(one.store, backupId)).toHaveLength(1);
  await expectReset(one.target);
});

test("told to restore once more, the groups follow to the new records", async () => {
  const one = await caseOf();
  await one.run();
  const deps = threePhaseDeps(one.store, cluster);
  const { status } = await runPhases(deps, one.request, { start_new: true });
  expect(status).toBe("done");
  expect(await standing(groups[0]!, one.target)).toEqual(["0 130 ", "1 160 "]);
});
