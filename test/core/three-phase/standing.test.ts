import { describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { OffsetPlan, OffsetSnapshot } from "#core/offsets/contract.ts";
import { Standing } from "#core/three-phase/standing.ts";

interface Place {
  readonly offset: bigint;
  readonly metadata: string;
}

/** One place of one group: planned to go to offset 10 with the metadata "m". */
const plan = {
  groups: [
    {
      group: "g",
      partitions: [{ topic: "t", partition: 0, target_offset: 10n, metadata: "m" }],
    },
  ],
} as unknown as OffsetPlan;
const [planned] = plan.groups[0]!.partitions;

/** A cluster in which the group stands there, and whose log begins at `logStart`. */
function clusterWith(now: Place | undefined, logStart: bigint): Cluster {
  const at = { topic: "t", partition: 0 };
  const offsets = now === undefined ? [] : [{ ...at, ...now, leaderEpoch: -1 }];
  return {
    committedOffsets: async () => ({ groups: [{ group: "g", offsets }], failed: [] }),
    listOffsets: async () => [{ ...at, offset: logStart, leaderEpoch: 0 }],
  } as unknown as Cluster;
}

function snapshotWith(then: Place | undefined): OffsetSnapshot {
  const partitions = then === undefined ? {} : { "t-0": then };
  return { consumer_groups: { g: { partitions } } } as unknown as OffsetSnapshot;
}

const place = (offset: bigint, metadata = "m"): Place => ({ offset, metadata });

describe("a place is as it was set", () => {
  test.each<[string, Place | undefined, bigint, boolean]>([
    ["at the planned offset with its metadata", place(10n), 0n, true],
    ["at the log's first offset, where the planned one was deleted", place(25n), 25n, true],
    ["not at another offset", place(11n), 0n, false],
    ["not before it, though the log begins there", place(9n), 9n, false],
    ["not with other metadata", place(10n, "own"), 0n, false],
    ["not where nothing is committed", undefined, 0n, false],
  ])("%s", async (_, now, logStart, expected) => {
    const standing = await Standing.read(clusterWith(now, logStart), plan);
    expect(standing.isAsPlanned("g", planned!)).toBe(expected);
  });
});

describe("a group has moved since the plan", () => {
  test.each<[string, Place | undefined, Place | undefined, string[]]>([
    ["not where it stands as then", place(3n, "x"), place(3n, "x"), []],
    ["not where it had and has nothing", undefined, undefined, []],
    ["not where it stands as planned: a call that is repeated", place(3n), place(10n), []],
    ["where it has committed for the first time", undefined, place(7n), ["from nothing to 7"]],
    ["where its commit was removed", place(3n), undefined, ["from 3 to nothing"]],
    ["where only the metadata changed", place(3n, "a"), place(3n, "b"), ["from 3 to 3"]],
  ])("%s", async (_, then, now, expected) => {
    const standing = await Standing.read(clusterWith(now, 0n), plan);
    const words = expected.map((text) => `group "g", t-0: ${text}`);
    expect(standing.movedSince(snapshotWith(then), plan)).toEqual(words);
  });
});
