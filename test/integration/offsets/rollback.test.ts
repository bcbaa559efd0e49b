/** Snapshots of committed offsets and rolling back to them, against a real broker. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster, NewOffset } from "#core/kafka/cluster.ts";
import { changeGroups } from "#core/offsets/change-groups.ts";
import { rollbackOffsets } from "#core/offsets/rollback.ts";
import { listSnapshotIds, readSnapshot, takeSnapshot } from "#core/offsets/snapshot.ts";
import { diffSnapshots } from "#core/offsets/snapshot-diff.ts";
import { verifySnapshot } from "#core/offsets/verify-snapshot.ts";
import { deadlineAt, silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { holdGroups, memberProtocols } from "#test/support/members.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

const kafka = kafkaForTests();
let cluster: Cluster;
let operator: KafkaAdmin;
/** Three partitions with the offsets 0 to 99. */
let topic: string;
let storage: StorageBackend;

beforeAll(async () => {
  cluster = await connectForTests();
  operator = await KafkaAdmin.connect();
  topic = await filledTopic(3);
});
afterAll(async () => {
  await Promise.all([cluster?.disconnect(), operator?.disconnect()]);
});
beforeEach(() => {
  storage = openMemory();
});

async function filledTopic(partitionCount: number): Promise<string> {
  const created = await createTopic(cluster, { partitionCount });
  for (let partition = 0; partition < partitionCount; partition++) {
    await appendNumbered(cluster, { topic: created, partition, from: 0, count: 100 });
  }
  return created;
}

const deps = (on = cluster) => {
  return { storage, cluster: on, clock: systemClock, logger: silentLogger, newId: randomId };
};

const snapshotOf = (groups: readonly string[], on = cluster) =>
  takeSnapshot(deps(on), { groups: { groups: [...groups] }, description: "" });

const rollback = (
  snapshot_id: string,
  options: { groups?: string[]; clamp?: boolean; verify?: boolean } = {},
  on = cluster,
) => {
  const request = { snapshot_id, clamp: false, verify: true, ...options };
  return rollbackOffsets(deps(on), request, noDeadline);
};

function at(partition: number, offset: bigint, changes: Partial<NewOffset> = {}): NewOffset {
  return { topic, partition, offset, leaderEpoch: -1, metadata: "", ...changes };
}

async function commit(group: string, ...offsets: NewOffset[]): Promise<void> {
  const results = await cluster.commitOffsets(group, offsets);
  expect(results.map(({ error }) => error)).toEqual(offsets.map(() => undefined));
}

async function positionsOf(group: string): Promise<NewOffset[]> {
  const { groups, failed } = await cluster.committedOffsets([group]);
  expect(failed).toEqual([]);
  const inOrder = (one: NewOffset, other: NewOffset) =>
    `${one.topic} ${one.partition}` < `${other.topic} ${other.partition}` ? -1 : 1;
  return groups[0]!.offsets.toSorted(inOrder);
}

/** As Kafka's own admin client sees it: `partition offset epoch [metadata]`. */
async function seenByKafka(group: string): Promise<string[]> {
  const { code, stdout, stderr } = await kafka.runJava("test/support/java/PrintOffsets.java", [
    kafka.bootstrapServers,
    group,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout.trim().split("\n");
}

describe("a rollback", () => {
  test("R8: restores offsets, metadata, epochs and absent entries exactly", async () => {
    const group = randomName("group");
    const then = [at(0, 17n, { metadata: "π 🙂", leaderEpoch: 0 }), at(1, 0n), at(2, 100n)];
    await commit(group, ...then);
    await cluster.deleteOffsets(group, [{ topic, partition: 1 }]);
    const snapshot = await snapshotOf([group]);
    const other = await filledTopic(1);
    const now = [
      at(0, 50n),
      at(1, 60n),
      at(2, 70n, { metadata: "x" }),
      at(0, 9n, { topic: other }),
    ];
    await commit(group, ...now);
    const result = await rollback(snapshot.snapshot_id);
    expect(result).toMatchObject({ status: "done", verified: true, warnings: [] });
    expect(result.outcomes).toEqual([
      { group, status: "changed", committed: 2, deleted: 2, failures: [] },
    ]);
    expect(await positionsOf(group)).toEqual([then[0], then[2]]);
    expect(await seenByKafka(group)).toEqual([`${topic}-0 17 0 [π 🙂]`, `${topic}-2 100 - []`]);
    // And it can be undone: the safety snapshot holds what was there right before.
    await rollback(result.safety_snapshot_id);
    const inOrder = now.toSorted((one, other) => (one.topic < other.topic ? -1 : 1));
    expect(await positionsOf(group)).toEqual(inOrder);
  });

  test("R8: of some of the snapshot's groups leaves the others as they are", async () => {
    const prefix = randomName("group");
    const groups = [`${prefix}/a`, `${prefix}/b`, `${prefix} c`];
    for (const group of groups) await commit(group, at(0, 10n));
    const snapshot = await snapshotOf([`${prefix}*`]);
    expect(Object.keys(snapshot.consumer_groups).sort()).toEqual(groups.toSorted());
    for (const group of groups) await commit(group, at(0, 20n));
    const { outcomes } = await rollback(snapshot.snapshot_id, { groups: [`${prefix}/*`] });
    expect(outcomes.map(({ group }) => group)).toEqual(groups.slice(0, 2));
    const offsets = await Promise.all(groups.map(positionsOf));
    expect(offsets.map(([position]) => position?.offset)).toEqual([10n, 10n, 20n]);
    const unknown = rollback(snapshot.snapshot_id, { groups: [randomName("other")] });
    await expect(unknown).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining("does not hold group"),
    });
  });

  test("R8: leaves a group that had nothing committed with nothing", async () => {
    const prefix = randomName("group");
    await commit(`${prefix} known`, at(0, 10n));
    // One by a pattern, one by a name that no broker lists.
    const snapshot = await snapshotOf([`${prefix}*`, `${prefix} unknown`]);
    expect(snapshot.consumer_groups[`${prefix} unknown`]).toEqual({
      type: "unknown",
      state: "Dead",
      partitions: {},
    });
    for (const name of ["known", "unknown"]) await commit(`${prefix} ${name}`, at(1, 20n));
    expect(await rollback(snapshot.snapshot_id)).toMatchObject({
      status: "done",
      outcomes: [
        { group: `${prefix} known`, committed: 1, deleted: 1 },
        { group: `${prefix} unknown`, committed: 0, deleted: 1 },
      ],
    });
    expect(await positionsOf(`${prefix} known`)).toEqual([at(0, 10n)]);
    expect(await positionsOf(`${prefix} unknown`)).toEqual([]);
  });

  test("R8: commits the leader epoch only in the topic that it was committed in", async () => {
    const recreated = await filledTopic(1);
    const group = randomName("group");
    await commit(group, at(0, 5n, { topic: recreated, leaderEpoch: 0, metadata: "kept" }));
    const snapshot = await snapshotOf([group]);
    await operator.deleteTopic(recreated);
    await expect(rollback(snapshot.snapshot_id)).rejects.toMatchObject({
      name: "PreflightRefusedError",
      message: expect.stringContaining(`topic ${recreated}, in which group "${group}" had`),
    });
    const topics = [{ topic: recreated, partitionCount: 1, replicationFactor: 1, config: {} }];
    await cluster.createTopics(topics);
    await appendNumbered(cluster, { topic: recreated, partition: 0, from: 0, count: 10 });
    const result = await rollback(snapshot.snapshot_id);
    expect(result).toMatchObject({
      status: "done",
      warnings: [{ severity: "warning", code: "topic-recreated", topic: recreated }],
    });
    expect(await positionsOf(group)).toEqual([
      at(0, 5n, { topic: recreated, metadata: "kept", leaderEpoch: -1 }),
    ]);
  });

  test("R8: refuses what lies outside the log before any write, and clamps when told to", async () => {
    const short = await filledTopic(2);
    const group = randomName("group");
    const then = [
      at(0, 3n, { topic: short, leaderEpoch: 0, metadata: "a" }),
      at(1, 140n, { topic: short, leaderEpoch: 0, metadata: "b" }),
    ];
    await commit(group, ...then);
    const snapshot = await snapshotOf([group]);
    await operator.deleteRecordsBefore(short, 0, 40);
    const now = [at(0, 50n, { topic: short }), at(1, 60n, { topic: short })];
    await commit(group, ...now);
    const refused = {
      name: "PreflightRefusedError",
      message:
        `nothing was changed: a rollback to ${snapshot.snapshot_id} is refused:\n` +
        `group "${group}" stood at offset 3 of ${short}-0; its log holds 40 to 100\n` +
        `group "${group}" stood at offset 140 of ${short}-1; its log holds 0 to 100`,
      hint: expect.stringContaining("--force"),
    };
    await expect(rollback(snapshot.snapshot_id)).rejects.toMatchObject(refused);
    expect(await positionsOf(group)).toEqual(now);
    expect(await collect(listSnapshotIds(storage))).toEqual([snapshot.snapshot_id]);
    const verdict = await verifySnapshot({ storage, cluster }, snapshot.snapshot_id);
    expect(verdict.against).toMatchObject({
      can_roll_back: false,
      findings: [{ code: "offset-outside" }, { code: "offset-outside" }],
    });
    const result = await rollback(snapshot.snapshot_id, { clamp: true });
    expect(result.status).toBe("done");
    expect(result.warnings.map(({ code }) => code)).toEqual(["offset-clamped", "offset-clamped"]);
    expect(await positionsOf(group)).toEqual([
      at(0, 40n, { topic: short, metadata: "a" }),
      at(1, 100n, { topic: short, metadata: "b" }),
    ]);
  });

  test("of another cluster's snapshot is refused", async () => {
    const group = randomName("group");
    await commit(group, at(0, 1n));
    const foreign = wrappedCluster(cluster, { clusterId: "another-cluster-000000" } as object);
    const snapshot = await snapshotOf([group], foreign);
    await expect(rollback(snapshot.snapshot_id)).rejects.toMatchObject({
      name: "PreflightRefusedError",
      message: expect.stringContaining("the snapshot is of cluster another-cluster-000000"),
    });
  });

  test("R8: of 45 groups, one called constructor, puts back every one", async () => {
    const prefix = randomName("many");
    const names = Array.from({ length: 44 }, (_, index) => `${prefix} ${index}/日本`);
    const groups = [...names, "constructor"];
    for (const [index, group] of groups.entries())
      await commit(group, at(index % 3, BigInt(index)));
    const snapshot = await snapshotOf(groups);
    expect(Object.keys(snapshot.consumer_groups)).toHaveLength(45);
    for (const group of groups) await commit(group, at(0, 99n), at(1, 99n), at(2, 99n));
    const result = await rollback(snapshot.snapshot_id);
    expect(result).toMatchObject({ status: "done" });
    expect(result.outcomes.map(({ committed, deleted }) => `${committed} ${deleted}`)).toEqual(
      groups.map(() => "1 2"),
    );
    for (const [index, group] of groups.entries()) {
      expect(await positionsOf(group)).toEqual([at(index % 3, BigInt(index))]);
    }
  });

  test("tells what was read back where it is not what was committed", async () => {
    const group = randomName("group");
    await commit(group, at(0, 10n), at(1, 10n));
    const snapshot = await snapshotOf([group]);
    await commit(group, at(0, 20n), at(2, 20n));
    // Somebody else's commit comes between.
    const disturbed = wrappedCluster(cluster, {
      async deleteOffsets(name, partitions) {
        const results = await cluster.deleteOffsets(name, partitions);
        await commit(name, at(1, 33n), at(2, 44n));
        return results;
      },
    });
    const result = await rollback(snapshot.snapshot_id, {}, disturbed);
    expect(result).toMatchObject({ status: "failed", outcomes: [{ committed: 1, deleted: 0 }] });
    expect(result.outcomes[0]?.failures).toEqual([
      {
        topic,
        partition: 1,
        reason: "read back offset 33, epoch -1 where offset 10, epoch -1 was committed",
      },
      { topic, partition: 2, reason: "read back offset 44 where it was removed" },
    ]);
    const unread = await rollback(snapshot.snapshot_id, { verify: false }, disturbed);
    expect(unread).toMatchObject({ status: "done", verified: false });
  });

  test("C4: whose answers are lost after the broker has done it changes nothing when repeated", async () => {
    const group = randomName("group");
    await commit(group, at(0, 10n, { metadata: "m" }));
    const snapshot = await snapshotOf([group]);
    await commit(group, at(0, 20n), at(1, 20n));
    const lost = (what: string) =>
      new BackupError("BrokerUnavailableError", `no answer to ${what}`, {});
    const losing = wrappedCluster(cluster, {
      async commitOffsets(name, offsets) {
        await cluster.commitOffsets(name, offsets);
        const error = lost("OffsetCommit");
        return offsets.map(({ topic, partition }) => ({ topic, partition, error }));
      },
      async deleteOffsets(name, partitions) {
        await cluster.deleteOffsets(name, partitions);
        const error = lost("OffsetDelete");
        return partitions.map((place) => ({ ...place, error }));
      },
    });
    const first = await rollback(snapshot.snapshot_id, {}, losing);
    expect(first).toMatchObject({ status: "failed", outcomes: [{ failures: [{}, {}] }] });
    expect(await positionsOf(group)).toEqual([at(0, 10n, { metadata: "m" })]);
    const second = await rollback(snapshot.snapshot_id);
    expect(second).toMatchObject({ status: "done" });
    expect(await positionsOf(group)).toEqual([at(0, 10n, { metadata: "m" })]);
  });

  test("that is stopped or late says which groups it did not reach", async () => {
    const group = randomName("group");
    await commit(group, at(0, 10n));
    const change = { group, commits: [at(0, 5n)], deletions: [{ topic, partition: 1 }] };
    const late = deadlineAt(systemClock, 0);
    expect(await changeGroups(deps(), [change], late)).toMatchObject([
      { status: "failed", committed: 0, failures: [{ partition: 0 }, { partition: 1 }] },
    ]);
    const stopped = deadlineAt(systemClock, Infinity, AbortSignal.abort(new Error("stopped")));
    await expect(changeGroups(deps(), [change], stopped)).rejects.toThrow("stopped");
    expect(await positionsOf(group)).toEqual([at(0, 10n)]);
  });
});

test("R4, R8: groups with members are refused with the members named, and nothing is written", async () => {
  const idle = randomName("idle");
  const members = memberProtocols.map((type) => ({ type, group: randomName(type) }));
  const groups = [idle, ...members.map(({ group }) => group)];
  for (const group of groups) await commit(group, at(0, 10n));
  const snapshot = await snapshotOf(groups);
  await commit(idle, at(0, 20n));
  const held = await holdGroups(
    topic,
    members.map(({ type, group }) => `${type}:${group}`),
  );
  try {
    for (const clamp of [false, true]) {
      await expect(rollback(snapshot.snapshot_id, { clamp })).rejects.toMatchObject({
        name: "GroupNotEmptyError",
        message: members
          .map(({ type, group }) => `group "${group}" has a member: ${type}:${group} at /127.0.0.1`)
          .join("; "),
      });
    }
    const verdict = await verifySnapshot({ storage, cluster }, snapshot.snapshot_id);
    expect(verdict.against?.findings.map(({ code, group }) => `${code} ${group}`)).toEqual(
      members.map(({ group }) => `group-has-members ${group}`),
    );
    expect(await collect(listSnapshotIds(storage))).toEqual([snapshot.snapshot_id]);
    expect(await positionsOf(idle)).toEqual([at(0, 20n)]);
    // A snapshot only reads: it may be taken of groups at work.
    const live = await snapshotOf(groups);
    for (const { type, group } of members) {
      expect(live.consumer_groups[group]).toMatchObject({ type, state: "Stable" });
    }
  } finally {
    await held.release();
  }
  expect(await rollback(snapshot.snapshot_id)).toMatchObject({ status: "done" });
  const described = await cluster.describeGroups(groups);
  expect(described).toEqual([
    { group: idle, type: "classic", state: "Empty", members: [] },
    ...members.map((member) => ({ ...member, state: "Empty", members: [] })),
  ]);
});

describe("a snapshot", () => {
  test("K8: is not stored where a broker does not list its groups, or one cannot be read", async () => {
    const group = randomName("group");
    await commit(group, at(0, 10n));
    const good = await snapshotOf([group]);
    const failure = new BackupError(
      "BrokerUnavailableError",
      "ListGroups on 127.0.0.1:1: no answer",
    );
    const unlisted = wrappedCluster(cluster, { committedOffsets: () => Promise.reject(failure) });
    const all = takeSnapshot(deps(unlisted), { groups: { all: true }, description: "" });
    await expect(all).rejects.toBe(failure);
    const undescribed = wrappedCluster(cluster, {
      describeGroups: async (groups) => groups.map((name) => ({ group: name, error: failure })),
    });
    await expect(snapshotOf([group], undescribed)).rejects.toBe(failure);
    expect(await collect(listSnapshotIds(storage))).toEqual([good.snapshot_id]);
    expect(await readSnapshot(storage, good.snapshot_id)).toEqual(good);
  });

  test("K8: never overwrites another, not even of the same second and token", async () => {
    const group = randomName("group");
    await commit(group, at(0, 10n));
    const frozen = { ...systemClock, nowMs: () => 1_736_937_000_000 };
    const same = { ...deps(), clock: frozen, newId: () => "0123456789abcdef" };
    const request = { groups: { groups: [group] }, description: "first" };
    const first = await takeSnapshot(same, request);
    expect(first.snapshot_id).toBe("snapshot-20250115T103000Z-01234567");
    expect(first.created_at).toBe("2025-01-15T10:30:00.000Z");
    await commit(group, at(0, 11n));
    await expect(takeSnapshot(same, request)).rejects.toMatchObject({
      name: "BackupConflictError",
    });
    expect(await readSnapshot(storage, first.snapshot_id)).toEqual(first);
  });

  test("of all groups holds what Kafka's own client committed, and the topics' ids", async () => {
    const group = randomName("group");
    await operator.commitOffset(group, topic, 12n);
    const snapshot = await takeSnapshot(deps(), { groups: { all: true }, description: "nightly" });
    expect(snapshot).toMatchObject({
      description: "nightly",
      cluster_id: cluster.clusterId,
      all_groups: true,
      groups_complete: true,
      unread_groups: [],
    });
    expect(snapshot.consumer_groups[group]).toEqual({
      type: "classic",
      state: "Empty",
      partitions: { [`${topic}-0`]: { offset: 12n, metadata: "" } },
    });
    const [described] = await cluster.describeTopics([topic]);
    expect(snapshot.topics[topic]).toEqual({ topic_id: described?.topicId });
    expect(await readSnapshot(storage, snapshot.snapshot_id)).toEqual(snapshot);
  });

  test("compared with a later one shows who moved how far", async () => {
    const [moved, still] = [randomName("moved"), randomName("still")];
    for (const group of [moved, still]) await commit(group, at(0, 10n), at(1, 10n));
    const before = await snapshotOf([moved, still]);
    await commit(moved, at(0, 25n), at(2, 1n));
    await cluster.deleteOffsets(moved, [{ topic, partition: 1 }]);
    const after = await snapshotOf([moved, still]);
    expect(diffSnapshots(before, after)).toMatchObject({
      same_cluster: true,
      unchanged_group_count: 1,
      groups: [
        {
          group: moved,
          change: "moved",
          partitions: [
            { partition: 0, change: "moved", from_offset: 10n, to_offset: 25n, distance: 15n },
            { partition: 1, change: "removed", from_offset: 10n, to_offset: null, distance: null },
            { partition: 2, change: "added", from_offset: null, to_offset: 1n, distance: null },
          ],
        },
      ],
    });
  });
});
