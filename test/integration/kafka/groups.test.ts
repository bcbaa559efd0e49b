/** What a cluster says of consumer groups and does to them, against the broker's own clients. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isBackupError } from "#core/errors.ts";
import type { Cluster, NewOffset } from "#core/kafka/cluster.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import {
  type HeldGroups,
  hasNewProtocols,
  holdGroups,
  memberProtocols,
} from "#test/support/members.ts";

let cluster: Cluster;
let topic: string;

beforeAll(async () => {
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: 3 });
});
afterAll(() => cluster?.disconnect());

function offsetAt(partition: number, offset: bigint, changes: Partial<NewOffset> = {}): NewOffset {
  return { topic, partition, offset, leaderEpoch: -1, metadata: "", ...changes };
}

async function positionsOf(group: string) {
  const { groups, failed, complete } = await cluster.committedOffsets([group]);
  expect({ failed, complete }).toEqual({ failed: [], complete: true });
  return groups[0]?.offsets.toSorted((one, other) => one.partition - other.partition);
}

/** Kafka's own errors of each offset, `ok` for what was done. */
function verdicts(results: Awaited<ReturnType<Cluster["commitOffsets"]>>): string[] {
  return results.map(({ error }) => {
    if (error === undefined) return "ok";
    return isBackupError(error) ? `${error.name} ${error.message}` : String(error);
  });
}

describe("committed offsets", () => {
  test("are set with metadata and epoch, read back, and removed, by group name", async () => {
    const group = randomName("group");
    const offsets = [
      offsetAt(0, 7n, { metadata: "αβγ 🙂", leaderEpoch: 3 }),
      offsetAt(2, 2n ** 40n),
    ];
    expect(verdicts(await cluster.commitOffsets(group, offsets))).toEqual(["ok", "ok"]);
    expect(await positionsOf(group)).toEqual(offsets);
    const places = [0, 1].map((partition) => ({ topic, partition }));
    expect(verdicts(await cluster.deleteOffsets(group, places))).toEqual(["ok", "ok"]);
    expect(await positionsOf(group)).toEqual([offsets[1]]);
  });

  test("C4: of a group that does not exist are none, and removing them again is done", async () => {
    const group = randomName("absent");
    expect(await positionsOf(group)).toEqual([]);
    const place = { topic, partition: 0 };
    expect(verdicts(await cluster.deleteOffsets(group, [place]))).toEqual(["ok"]);
    const [described] = await cluster.describeGroups([group]);
    expect(described).toEqual({ group, type: "unknown", state: "Dead", members: [] });
  });

  test.each(["with space", "a/b", "日本語 🙂", "--option", "quote\"'", "$(id)", "a,b"])(
    "are those of the group with the name %j",
    async (name) => {
      const group = randomName(name);
      const offsets = [offsetAt(1, 5n)];
      expect(verdicts(await cluster.commitOffsets(group, offsets))).toEqual(["ok"]);
      expect(await positionsOf(group)).toEqual(offsets);
      const all = await cluster.committedOffsets();
      expect(all.complete).toBe(true);
      expect(all.groups.find((one) => one.group === group)?.offsets).toEqual(offsets);
    },
  );

  test("of many partitions are set by requests of bounded size", async () => {
    // 300 offsets with the longest metadata are 1.2 MB, above what __consumer_offsets takes at once.
    const wide = await createTopic(cluster, { partitionCount: 300 });
    const group = randomName("group");
    const offsets = Array.from({ length: 300 }, (_, partition) =>
      offsetAt(partition, BigInt(partition), { topic: wide, metadata: "m".repeat(4096) }),
    );
    const results = await cluster.commitOffsets(group, offsets);
    expect(results.map(({ partition }) => partition)).toEqual(offsets.map((at) => at.partition));
    expect(new Set(verdicts(results))).toEqual(new Set(["ok"]));
    expect(await positionsOf(group)).toEqual(offsets);
  });

  test("with too much metadata fail alone and say how much there is", async () => {
    const group = randomName("group");
    const offsets = [offsetAt(0, 1n), offsetAt(1, 1n, { metadata: "m".repeat(4097) })];
    expect(verdicts(await cluster.commitOffsets(group, offsets))).toEqual([
      "ok",
      expect.stringMatching(
        new RegExp(
          `^InvalidRequestError OffsetCommit of group "${group}" for ${topic}-1: ` +
            "OFFSET_METADATA_TOO_LARGE \\(its 4097 characters .* offset.metadata.max.bytes\\)$",
        ),
      ),
    ]);
    expect(await positionsOf(group)).toEqual([offsets[0]]);
  });

  test("in a topic or partition that does not exist fail by name, and are removed already", async () => {
    const group = randomName("group");
    const absent = randomName("absent");
    const offsets = [offsetAt(0, 1n), offsetAt(3, 1n), offsetAt(0, 1n, { topic: absent })];
    expect(verdicts(await cluster.commitOffsets(group, offsets))).toEqual([
      "ok",
      expect.stringContaining(`TopicNotFoundError OffsetCommit of group "${group}" for ${topic}-3`),
      expect.stringContaining(`for ${absent}-0: UNKNOWN_TOPIC_OR_PARTITION`),
    ]);
    const places = [
      { topic: absent, partition: 0 },
      { topic, partition: 0 },
    ];
    expect(verdicts(await cluster.deleteOffsets(group, places))).toEqual(["ok", "ok"]);
    expect(await positionsOf(group)).toEqual([]);
  });
});

describe("groups with live members", () => {
  const groups = memberProtocols.map((type) => ({ type, group: randomName(type) }));
  let held: HeldGroups;

  beforeAll(async () => {
    held = await holdGroups(
      topic,
      groups.map(({ type, group }) => `${type}:${group}`),
    );
  });
  afterAll(() => held?.release());

  test("are described by their protocol with their members", async () => {
    const described = await cluster.describeGroups(groups.map(({ group }) => group));
    expect(described).toEqual(
      groups.map((expected) => ({
        ...expected,
        state: "Stable",
        members: [
          {
            memberId: expect.any(String),
            clientId: `${expected.type}:${expected.group}`,
            host: "/127.0.0.1",
          },
        ],
      })),
    );
  });

  test.each(groups)(
    "R8: refuse commits and removals as of no member: $group",
    async ({ group }) => {
      const said = `GroupNotEmptyError group "${group}" has a member: `;
      const refused = [expect.stringContaining(said), expect.stringContaining(said)];
      const offsets = [offsetAt(0, 1n), offsetAt(1, 1n)];
      expect(verdicts(await cluster.commitOffsets(group, offsets))).toEqual(refused);
      expect(verdicts(await cluster.deleteOffsets(group, offsets))).toEqual(refused);
      expect(await positionsOf(group)).toEqual([]);
    },
  );
});

test.runIf(hasNewProtocols)(
  "R8: an empty group of the consumer protocol stays one when its offsets are set",
  async () => {
    const group = randomName("consumer");
    const held = await holdGroups(topic, [`consumer:${group}`]);
    await held.release();
    const offsets = [offsetAt(0, 4n, { metadata: "kept" })];
    expect(verdicts(await cluster.commitOffsets(group, offsets))).toEqual(["ok"]);
    expect(verdicts(await cluster.deleteOffsets(group, [{ topic, partition: 1 }]))).toEqual(["ok"]);
    expect(await cluster.describeGroups([group])).toEqual([
      { group, type: "consumer", state: "Empty", members: [] },
    ]);
    expect(await positionsOf(group)).toEqual(offsets);
  },
);
