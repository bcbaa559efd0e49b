/** Groups after a restore, judged by Kafka's own clients. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster, NewOffset } from "#core/kafka/cluster.ts";
import type { OffsetPlan } from "#core/offsets/contract.ts";
import { executePlan } from "#core/offsets/execute.ts";
import { type OffsetPlanRequest, planOffsets } from "#core/offsets/plan.ts";
import { resetOffsets } from "#core/offsets/reset.ts";
import { listSnapshotIds, readSnapshot } from "#core/offsets/snapshot.ts";
import { silentLogger } from "#core/runtime.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { holdGroups, memberProtocols } from "#test/support/members.ts";
import { produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

const kafka = kafkaForTests();
let cluster: Cluster;
let operator: KafkaAdmin;

beforeAll(async () => {
  cluster = await connectForTests();
  operator = await KafkaAdmin.connect();
});
afterAll(async () => {
  await Promise.all([cluster?.disconnect(), operator?.disconnect()]);
});

async function commit(group: string, ...offsets: Partial<NewOffset>[]): Promise<void> {
  const whole = offsets.map((one) => ({
    ...{ topic: "", partition: 0, offset: 0n, leaderEpoch: -1, metadata: "" },
    ...one,
  }));
  const results = await cluster.commitOffsets(group, whole);
  expect(results.map(({ error }) => error)).toEqual(offsets.map(() => undefined));
}

/** As Kafka's own admin client sees it: `topic-partition offset epoch [metadata]`. */
async function seenByKafka(group: string): Promise<string[]> {
  const program = "test/support/java/PrintOffsets.java";
  const { code, stdout, stderr } = await kafka.runJava(program, [kafka.bootstrapServers, group]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout.split("\n").filter((line) => line !== "");
}

/** By `topic-partition`. */
async function committedBy(group: string, on = cluster): Promise<Record<string, bigint>> {
  const { groups } = await on.committedOffsets([group]);
  const entries = (groups[0]?.offsets ?? []).map(
    ({ topic, partition, offset }) => [`${topic}-${partition}`, offset] as const,
  );
  return Object.fromEntries(entries);
}

const planDeps = ({ storage, catalog }: TestEngine, on = cluster) => {
  return { storage, catalog, cluster: on, clock: systemClock, logger: silentLogger };
};

function planFor(
  engine: TestEngine,
  groups: readonly string[],
  request: Partial<OffsetPlanRequest> = {},
): Promise<OffsetPlan> {
  const asked = { backup_id: engine.backupId, groups: { groups: [...groups] } };
  const whole = { ...asked, strategy: "offset-map" as const, ...request };
  return planOffsets(planDeps(engine), whole, noDeadline);
}

function reset(
  engine: TestEngine,
  groups: readonly string[],
  request: Partial<OffsetPlanRequest> = {},
  on = cluster,
) {
  const asked = { backup_id: engine.backupId, groups: { groups: [...groups] } };
  const whole = { ...asked, strategy: "offset-map" as const, ...request };
  const deps = { ...planDeps(engine, on), newId: randomId };
  return resetOffsets(deps, whole, { clamp: false }, noDeadline);
}

const inPartition = (records: readonly SeenRecord[], topic: string, partition: number) =>
  records.filter((one) => one.topic === topic && one.partition === partition);

describe("a topic of transactions, renamed and with its partitions elsewhere", () => {
  const mapping: Record<string, number> = { 0: 2, 1: 0, 2: 1 };
  const plain = randomName("plain");
  const odd = `${randomName("it's")} $(odd) "名" a/b,c\n`;
  let engine: TestEngine;
  let source: string;
  let other: string;
  let target: string;
  /** In partition 0 of the source: a record, an aborted one, a marker, the end. */
  let places: bigint[];

  beforeAll(async () => {
    source = await createTopic(cluster, { partitionCount: 3 });
    other = await createTopic(cluster);
    await produceTraffic([["transactions", source]]);
    await appendNumbered(cluster, { topic: source, partition: 1, from: 0, count: 100 });
    await appendNumbered(cluster, { topic: source, partition: 2, from: 0, count: 50 });
    await appendNumbered(cluster, { topic: other, from: 0, count: 10 });
    const records = inPartition(await recordsOf([source]), source, 0);
    const holes = records.slice(1).filter(({ offset }, i) => offset > records[i]!.offset + 1n);
    const { endOffset } = await cluster.logEndOffset({ topic: source, partition: 0 });
    places = [records[40]!.offset, 0n, holes[1]!.offset - 1n, holes.at(-1)!.offset - 2n, endOffset];
    for (const [i, offset] of places.entries()) {
      await commit(`${plain}-${i}`, { topic: source, offset, metadata: `place ${i}` });
    }
    await commit(
      odd,
      { topic: source, partition: 1, offset: 37n, metadata: "π 🙂" },
      { topic: source, partition: 2, offset: 50n },
      { topic: other, offset: 5n },
    );
    engine = testEngine(cluster);
    await engine.backup([source, other]);
    target = randomName("restored");
    await engine.restore({ [source]: target }, { partition_mapping: { [source]: mapping } });
  });

  test("R3, R8: each group continues at the record that it would have read next", async () => {
    const groups = [...places.map((_, i) => `${plain}-${i}`), odd];
    const { status, plan, outcomes, safety_snapshot_id } = await reset(engine, groups);
    expect(status).toBe("done");
    expect(outcomes.map(({ committed }) => committed)).toEqual(
      outcomes.map(({ group }) => (group === odd ? 2 : 1)),
    );
    const records = await recordsOf([source, target]);
    const from = inPartition(records, source, 0);
    const to = inPartition(records, target, 2);
    expect(to.map(({ content }) => content)).toEqual(from.map(({ content }) => content));
    for (const [i, place] of places.entries()) {
      const next = from.findIndex(({ offset }) => offset >= place);
      const offset = next < 0 ? to.at(-1)!.offset + 1n : to[next]!.offset;
      expect(await committedBy(`${plain}-${i}`)).toEqual({
        [`${source}-0`]: place,
        [`${target}-2`]: offset,
      });
    }
    const reasons = places.map((_, i) => {
      const planned = plan.groups.find(({ group }) => group === `${plain}-${i}`);
      return planned?.partitions[0]?.reason;
    });
    expect(reasons).toEqual([
      "exact",
      "next-restored",
      "next-restored",
      "next-restored",
      "restored-end",
    ]);
    expect(await seenByKafka(odd)).toEqual(
      [
        `${other}-0 5 - []`,
        `${source}-1 37 - [π 🙂]`,
        `${source}-2 50 - []`,
        `${target}-0 37 - [π 🙂]`,
        `${target}-1 50 - []`,
      ].sort(),
    );
    const snapshot = await readSnapshot(engine.storage, safety_snapshot_id!);
    expect(Object.keys(snapshot.consumer_groups[odd]!.partitions)).toHaveLength(3);
    expect(snapshot.description).toContain("before offset-reset");
  });

  test("what was not restored is told, and stays as it is", async () => {
    const { left_alone } = await planFor(engine, [odd]);
    expect(left_alone).toEqual([{ group: odd, topic: other, reason: "was not restored" }]);
  });

  test("a plan tells what is there now, and the distance to the end", async () => {
    const group = randomName("planned");
    await commit(group, { topic: source, partition: 1, offset: 90n });
    await commit(group, { topic: target, partition: 0, offset: 7n });
    const offset_source = "current" as const;
    const plan = await planFor(engine, [group], { offset_source });
    expect(plan).toMatchObject({ offset_source, target_cluster_id: cluster.clusterId });
    // That it stands in the target as well is nothing which is left alone.
    expect(plan.left_alone).toEqual([]);
    expect(plan.groups).toEqual([
      {
        group,
        partitions: [
          {
            ...{ topic: target, partition: 0, source_topic: source, source_partition: 1 },
            ...{ source_offset: 90n, source_read_at: expect.any(BigInt), current_offset: 7n },
            ...{ target_offset: 90n, reason: "exact", metadata: "", end_offset: 100n, lag: 10n },
          },
        ],
      },
    ]);
  });

  test("C4: done twice it changes nothing more", async () => {
    const group = `${plain}-0`;
    await reset(engine, [group]);
    const { groups: before } = await cluster.committedOffsets([group]);
    expect((await reset(engine, [group])).status).toBe("done");
    expect((await cluster.committedOffsets([group])).groups).toEqual(before);
  });

  test("a strategy that only reports commits nothing", async () => {
    const group = `${plain}-1`;
    const before = await committedBy(group);
    for (const strategy of ["manual", "skip", "cluster-scan"] as const) {
      const { status, plan, outcomes } = await reset(engine, [group], { strategy });
      expect({ status, outcomes }).toEqual({ status: "report_only", outcomes: [] });
      expect(await executePlan(planDeps(engine), plan, { clamp: true }, noDeadline)).toEqual({
        outcomes: [],
      });
    }
    expect(await committedBy(group)).toEqual(before);
  });

  test("R4, R8: groups with members are refused with the members named, whatever is forced", async () => {
    const free = randomName("free");
    const members = memberProtocols.map((type) => ({ type, group: randomName(type) }));
    const busy = members.map(({ group }) => group);
    for (const group of [...busy, free]) {
      await commit(group, { topic: source, partition: 1, offset: 3n });
    }
    const clients = members.map(({ type, group }) => `${type}:${group}`);
    const held = await holdGroups(other, clients);
    const snapshots = await collect(listSnapshotIds(engine.storage));
    try {
      const offset_source = "current" as const;
      await expect(reset(engine, [...busy, free], { offset_source })).rejects.toMatchObject({
        name: "GroupNotEmptyError",
        message: expect.stringMatching(new RegExp(clients.join(".*"), "s")),
      });
      const plan = await planFor(engine, [busy[0]!, free], { offset_source });
      await expect(
        executePlan(planDeps(engine), plan, { clamp: true }, noDeadline),
      ).rejects.toMatchObject({ name: "GroupNotEmptyError" });
      expect(await collect(listSnapshotIds(engine.storage))).toEqual(snapshots);
      expect(await committedBy(free)).toEqual({ [`${source}-1`]: 3n });
    } finally {
      await held.release();
    }
  });

  test("K7: a group that the broker refuses leaves the others changed", async () => {
    const [fine, refused] = [randomName("a-fine"), randomName("b-refused")];
    // The plan's metadata is longer than this broker takes: offset.metadata.max.bytes.
    for (const group of [fine, refused]) {
      await commit(group, { topic: source, partition: 1, offset: 8n });
    }
    const plan = await planFor(engine, [fine, refused], { offset_source: "current" });
    const groups = plan.groups.map(({ group, partitions }) => ({
      group,
      partitions: partitions.map((one) => ({
        ...one,
        metadata: group === refused ? "m".repeat(5000) : one.metadata,
      })),
    }));
    const deps = planDeps(engine);
    const { outcomes } = await executePlan(deps, { ...plan, groups }, { clamp: false }, noDeadline);
    expect(outcomes).toEqual([
      { group: fine, status: "changed", committed: 1, deleted: 0, failures: [] },
      {
        ...{ group: refused, status: "failed", committed: 0, deleted: 0 },
        failures: [
          {
            ...{ topic: target, partition: 0 },
            reason: expect.stringContaining("OFFSET_METADATA_TOO_LARGE"),
          },
        ],
      },
    ]);
    expect(await committedBy(fine)).toMatchObject({ [`${target}-0`]: 8n });
    expect(await committedBy(refused)).not.toHaveProperty([`${target}-0`]);
  });

  test("K8: a group whose offsets cannot be read now is not touched", async () => {
    const [fine, hidden] = [randomName("fine"), randomName("hidden")];
    for (const group of [fine, hidden]) {
      await commit(group, { topic: source, partition: 1, offset: 9n });
    }
    await engine.backup([source, other]);
    const blind = wrappedCluster(cluster, {
      committedOffsets: async (names) => {
        const all = await cluster.committedOffsets(names);
        const error = new Error("GROUP_AUTHORIZATION_FAILED");
        if (names?.includes(hidden) !== true) return all;
        return {
          ...all,
          groups: all.groups.filter(({ group }) => group !== hidden),
          failed: [{ group: hidden, reason: error.message, error }],
        };
      },
    });
    const { status, outcomes } = await reset(engine, [fine, hidden], {}, blind);
    expect(status).toBe("incomplete");
    expect(outcomes).toMatchObject([
      { group: fine, status: "changed" },
      {
        ...{ group: hidden, status: "failed", committed: 0 },
        failures: [{ reason: expect.stringContaining("GROUP_AUTHORIZATION_FAILED") }],
      },
    ]);
    expect(await committedBy(hidden)).toEqual({ [`${source}-1`]: 9n });
  });

  test("K8: a group that no run could read leaves a reset of all groups incomplete", async () => {
    const group = randomName("fine");
    await commit(group, { topic: source, partition: 1, offset: 9n });
    const known = {
      offset_source: "latest" as const,
      positions: [
        {
          ...{ group, source_topic: source, source_partition: 1, offset: 9n },
          ...{ metadata: "", read_at: 0n, from: "run 1" },
        },
      ],
      left_alone: [{ group: "hidden", reason: "could not be read", unread: true }],
    };
    const { status, outcomes } = await reset(engine, [group], { known });
    expect(status).toBe("incomplete");
    expect(outcomes).toMatchObject([{ group, status: "changed" }]);
  });
});

describe("R8: the log of the target bounds what is committed", () => {
  let engine: TestEngine;
  let target: string;
  let topic: string;
  const group = randomName("group");

  beforeAll(async () => {
    topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 100 });
    await commit(group, { topic, offset: 20n });
    engine = testEngine(cluster);
    await engine.backup([topic]);
    target = randomName("restored");
    await engine.restore({ [topic]: target });
  });

  test("what lies before the log goes to its first record", async () => {
    const early = await planFor(engine, [group]);
    await operator.deleteRecordsBefore(target, 0, 30);
    const plan = await planFor(engine, [group]);
    expect(plan.groups[0]?.partitions[0]).toMatchObject({
      ...{ target_offset: 30n, reason: "exact", lag: 70n },
      note: "offset 20 was deleted: the log begins at 30",
    });
    // Also where retention was faster than the operator.
    await executePlan(planDeps(engine), early, { clamp: false }, noDeadline);
    expect(await committedBy(group)).toMatchObject({ [`${target}-0`]: 30n });
  });

  test("what lies beyond the log is refused before any write, unless clamping is allowed", async () => {
    const plan = await planFor(engine, [group]);
    const groups = plan.groups.map((one) => ({
      ...one,
      partitions: one.partitions.map((at) => ({ ...at, target_offset: 101n })),
    }));
    const beyond = { ...plan, groups };
    const before = await committedBy(group);
    const deps = planDeps(engine);
    await expect(executePlan(deps, beyond, { clamp: false }, noDeadline)).rejects.toMatchObject({
      name: "PreflightRefusedError",
      message: expect.stringContaining(`${target}-0 of "${group}": offset 101 is beyond the log`),
    });
    expect(await committedBy(group)).toEqual(before);
    await executePlan(deps, beyond, { clamp: true }, noDeadline);
    expect(await committedBy(group)).toMatchObject({ [`${target}-0`]: 100n });
  });

  test("a plan is not executed on a topic that was created anew, nor in another cluster", async () => {
    const plan = await planFor(engine, [group]);
    const deps = planDeps(engine);
    const other = { ...plan, target_cluster_id: "another" };
    await expect(executePlan(deps, other, { clamp: true }, noDeadline)).rejects.toMatchObject({
      name: "InvalidRequestError",
    });
    const anew = { ...plan, target_topics: { [target]: { topic_id: "of-an-earlier-topic" } } };
    await expect(executePlan(deps, anew, { clamp: true }, noDeadline)).rejects.toMatchObject({
      name: "TopicChangedError",
      message: expect.stringContaining(target),
    });
  });
});

test("K3: positions in a topic that was created anew are those of its own life", async () => {
  const name = await createTopic(cluster);
  const group = randomName("group");
  const engine = testEngine(cluster);
  await appendNumbered(cluster, { topic: name, from: 0, count: 60 });
  await commit(group, { topic: name, offset: 40n });
  await engine.backup([name]);
  await operator.deleteTopic(name);
  const fresh = { topic: name, partitionCount: 1, replicationFactor: 1, config: {} };
  await cluster.createTopics([fresh]);
  await appendNumbered(cluster, { topic: name, from: 100, count: 10 });
  await commit(group, { topic: name, offset: 3n });
  await engine.backup([name]);

  const targetOf = async (lineage: number, into: string) => {
    const { report } = await engine.restore({ [name]: into }, { lineage });
    const { plan } = await reset(engine, [group], { restore_id: report.restore_id });
    return plan.groups[0]?.partitions.map((one) => [one.source_offset, one.target_offset]);
  };
  const [newer, older] = [randomName("newer"), randomName("older")];
  expect(await targetOf(2, newer)).toEqual([[3n, 3n]]);
  expect(await targetOf(1, older)).toEqual([[40n, 40n]]);
  expect(await committedBy(group)).toMatchObject({ [`${newer}-0`]: 3n, [`${older}-0`]: 40n });
  const current = { offset_source: "current", restore_id: "newest" } as const;
  await expect(reset(engine, [group], current)).rejects.toMatchObject({
    name: "PreflightRefusedError",
  });
});
