/** What changed from one snapshot of committed offsets to another. */
import type { CommittedOffset, OffsetSnapshot, SnapshotGroup } from "#core/offsets/contract.ts";
import { byPlace, partitionNamed } from "#core/offsets/topic-partition.ts";

export interface PositionChange {
  readonly topic: string;
  readonly partition: number;
  /** `rewritten`: the offset is the same, metadata or leader epoch are not. */
  readonly change: "added" | "removed" | "moved" | "rewritten";
  readonly from_offset: bigint | null;
  readonly to_offset: bigint | null;
  /** Records forwards; null where one side has no position, or the topic was created anew. */
  readonly distance: bigint | null;
}

export interface GroupChanges {
  readonly group: string;
  /** `not-covered`: one of the snapshots was not taken of this group, or could not read it. */
  readonly change: "added" | "removed" | "moved" | "not-covered";
  /** The snapshot that says nothing of the group, where one does. */
  readonly not_covered_by?: string;
  /** Ascending by topic and partition; only what changed. */
  readonly partitions: readonly PositionChange[];
}

export interface SnapshotDiff {
  readonly from: string;
  readonly to: string;
  readonly same_cluster: boolean;
  /** Ascending; only those that changed. */
  readonly groups: readonly GroupChanges[];
  /** Topics that were deleted and created again in between. */
  readonly recreated_topics: readonly string[];
  readonly unchanged_group_count: number;
}

export function diffSnapshots(from: OffsetSnapshot, to: OffsetSnapshot): SnapshotDiff {
  const names = [...Object.keys(from.consumer_groups), ...Object.keys(to.consumer_groups)];
  const all = [...new Set(names)].sort();
  const recreated = recreatedTopics(from, to);
  const groups = all.flatMap((group) => groupChanges(group, from, to, recreated));
  return {
    from: from.snapshot_id,
    to: to.snapshot_id,
    same_cluster: from.cluster_id === to.cluster_id,
    groups,
    recreated_topics: [...recreated].sort(),
    unchanged_group_count: all.length - groups.length,
  };
}

function recreatedTopics(from: OffsetSnapshot, to: OffsetSnapshot): Set<string> {
  const after = new Map(Object.entries(to.topics));
  const changed = Object.entries(from.topics).filter(([topic, { topic_id }]) => {
    const now = after.get(topic);
    return now !== undefined && now.topic_id !== topic_id;
  });
  return new Set(changed.map(([topic]) => topic));
}

function groupChanges(
  group: string,
  from: OffsetSnapshot,
  to: OffsetSnapshot,
  recreated: ReadonlySet<string>,
): GroupChanges[] {
  const silent = [from, to].find((snapshot) => !covers(snapshot, group));
  if (silent !== undefined) {
    const { snapshot_id } = silent;
    return [{ group, change: "not-covered", not_covered_by: snapshot_id, partitions: [] }];
  }
  const before = positionsOf(from.consumer_groups[group]);
  const after = positionsOf(to.consumer_groups[group]);
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const partitions = names
    .flatMap((name) => positionChange(name, before.get(name), after.get(name), recreated))
    .sort(byPlace);
  if (partitions.length === 0) return [];
  const isAdded = before.size === 0;
  const change = isAdded ? "added" : after.size === 0 ? "removed" : "moved";
  return [{ group, change, partitions }];
}

/** A snapshot of all groups speaks of those too that are not in it: they had no positions. */
function covers(snapshot: OffsetSnapshot, group: string): boolean {
  if (Object.hasOwn(snapshot.consumer_groups, group)) return true;
  const isUnread = snapshot.unread_groups.some((unread) => unread.group === group);
  return snapshot.all_groups && snapshot.groups_complete && !isUnread;
}

function positionsOf(group: SnapshotGroup | undefined): Map<string, CommittedOffset> {
  return new Map(Object.entries(group?.partitions ?? {}));
}

function positionChange(
  name: string,
  before: CommittedOffset | undefined,
  after: CommittedOffset | undefined,
  recreated: ReadonlySet<string>,
): PositionChange[] {
  const { topic, partition } = partitionNamed(name);
  const change = changeFrom(before, after);
  if (change === undefined) return [];
  const isComparable = before !== undefined && after !== undefined && !recreated.has(topic);
  return [
    {
      topic,
      partition,
      change,
      from_offset: before?.offset ?? null,
      to_offset: after?.offset ?? null,
      distance: isComparable ? after.offset - before.offset : null,
    },
  ];
}

function changeFrom(
  before: CommittedOffset | undefined,
  after: CommittedOffset | undefined,
): PositionChange["change"] | undefined {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  if (before.offset !== after.offset) return "moved";
  const isSame = before.metadata === after.metadata && before.leader_epoch === after.leader_epoch;
  return isSame ? undefined : "rewritten";
}
