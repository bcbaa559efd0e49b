import { expect, test } from "vitest";
import type { OffsetSnapshot, SnapshotGroup } from "#core/offsets/contract.ts";
import { diffSnapshots } from "#core/offsets/snapshot-diff.ts";

const position = (offset: bigint, metadata = "") => ({ offset, metadata });

function snapshot(
  id: string,
  groups: Record<string, SnapshotGroup["partitions"]>,
  changes: Partial<OffsetSnapshot> = {},
): OffsetSnapshot {
  const entries = Object.entries(groups).map(([group, partitions]) => [group, { partitions }]);
  return {
    snapshot_id: id,
    description: "",
    created_at: "2025-01-15T10:30:00Z",
    consumer_groups: Object.fromEntries(entries),
    format_version: 1,
    cluster_id: "cluster",
    all_groups: false,
    groups_complete: true,
    topics: { orders: { topic_id: "AAAAAAAAAAAAAAAAAAAAAQ" } },
    unread_groups: [],
    ...changes,
  };
}

test("a group's first and last positions are added and removed", () => {
  const some = { "orders-0": position(5n) };
  const from = snapshot("from", { came: {}, went: some, same: some });
  const to = snapshot("to", { came: some, went: {}, same: some });
  const { groups, unchanged_group_count } = diffSnapshots(from, to);
  expect(groups.map(({ group, change }) => `${group} ${change}`)).toEqual([
    "came added",
    "went removed",
  ]);
  expect(unchanged_group_count).toBe(1);
});

test("metadata and leader epoch that changed at the same offset are told", () => {
  const from = snapshot("from", { g: { "orders-0": position(5n), "orders-1": position(6n) } });
  const to = snapshot("to", {
    g: { "orders-0": position(5n, "m"), "orders-1": { ...position(6n), leader_epoch: 1 } },
  });
  const [group] = diffSnapshots(from, to).groups;
  expect(group?.partitions.map(({ change, distance }) => `${change} ${distance}`)).toEqual([
    "rewritten 0",
    "rewritten 0",
  ]);
});

test("partitions come in the order of topics and numbers", () => {
  const names = ["orders-10", "orders-9", "a-1"];
  const at = (offset: bigint) => Object.fromEntries(names.map((name) => [name, position(offset)]));
  const [group] = diffSnapshots(
    snapshot("from", { g: at(1n) }),
    snapshot("to", { g: at(2n) }),
  ).groups;
  expect(group?.partitions.map(({ topic, partition }) => `${topic}-${partition}`)).toEqual([
    "a-1",
    "orders-9",
    "orders-10",
  ]);
});

test("between a topic and its namesake there is no distance", () => {
  const from = snapshot("from", { g: { "orders-0": position(5n) } });
  const topics = { orders: { topic_id: "AAAAAAAAAAAAAAAAAAAAAg" } };
  const to = snapshot("to", { g: { "orders-0": position(9n) } }, { topics });
  const diff = diffSnapshots(from, to);
  expect(diff.recreated_topics).toEqual(["orders"]);
  expect(diff.groups[0]?.partitions[0]).toMatchObject({ change: "moved", distance: null });
});

test("of a group that a snapshot was not taken of, or could not read, nothing is claimed", () => {
  const some = { g: { "orders-0": position(5n) } };
  const changeTo = (to: OffsetSnapshot) => diffSnapshots(snapshot("from", some), to).groups;
  const notCovered = [{ group: "g", change: "not-covered", not_covered_by: "to", partitions: [] }];
  expect(changeTo(snapshot("to", {}))).toEqual(notCovered);
  const all = { all_groups: true };
  const unread_groups = [{ group: "g", reason: "denied" }];
  expect(changeTo(snapshot("to", {}, { ...all, unread_groups }))).toEqual(notCovered);
  expect(changeTo(snapshot("to", {}, { ...all, groups_complete: false }))).toEqual(notCovered);
  expect(changeTo(snapshot("to", {}, all))).toMatchObject([{ group: "g", change: "removed" }]);
});

test("groups called as what every object inherits are groups like any other", () => {
  const names = ["__proto__", "constructor", "toString"];
  const groups = Object.fromEntries(names.map((name) => [name, { "orders-0": position(1n) }]));
  const from = snapshot("from", groups);
  const to = snapshot("to", {}, { all_groups: true });
  const diff = diffSnapshots(from, to);
  expect(diff.groups.map(({ group, change }) => `${group} ${change}`)).toEqual(
    names.map((name) => `${name} removed`),
  );
  expect(diffSnapshots(to, from).groups.map(({ change }) => change)).toEqual(
    names.map(() => "added"),
  );
});
