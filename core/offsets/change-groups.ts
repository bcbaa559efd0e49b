/** The one place that writes committed offsets: only for groups without members, and read back. */
import pLimit from "p-limit";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster, CommittedOffsets, OffsetResult } from "#core/kafka/cluster.ts";
import { groupNotEmpty } from "#core/kafka/group-changes.ts";
import type { GroupChange, GroupOutcome } from "#core/offsets/contract.ts";
import { byPlace, partitionName } from "#core/offsets/topic-partition.ts";
import type { Deadline, Logger } from "#core/runtime.ts";

export interface ChangeDeps {
  readonly cluster: Cluster;
  readonly logger: Logger;
}

type Failure = GroupOutcome["failures"][number];

/** Groups that are changed at a time. */
const groupsInFlight = 8;
/** Groups named in one message; the rest are counted. */
const groupsNamed = 5;

/**
 * Throws GroupNotEmptyError that names each group with members, and these by client id and host;
 * and for a group that cannot be described, or is of a type that is not supported, its error.
 */
export async function refuseMembers(cluster: Cluster, groups: readonly string[]): Promise<void> {
  const errors: BackupError[] = [];
  for (const result of await cluster.describeGroups(groups)) {
    if ("error" in result) throw result.error;
    if (result.members.length > 0) errors.push(groupNotEmpty(result));
  }
  const [first, ...others] = errors;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const named = errors.slice(0, groupsNamed).map(({ message }) => message);
  const more =
    errors.length > groupsNamed ? `; and ${errors.length - groupsNamed} more groups` : "";
  throw new BackupError("GroupNotEmptyError", `${named.join("; ")}${more}`);
}

/** The same for each group by itself: why no offset of it could be committed now. */
export async function groupsInTheWay(
  cluster: Cluster,
  groups: readonly string[],
): Promise<BackupError[]> {
  if (groups.length === 0) return [];
  const described = await cluster.describeGroups(groups);
  return described.flatMap((result) => {
    if (!("error" in result)) return result.members.length > 0 ? [groupNotEmpty(result)] : [];
    if (!isBackupError(result.error)) throw result.error;
    return [result.error];
  });
}

/**
 * Refuses all where one has members, then commits and deletes group by group, reads all back and
 * compares offset, metadata and epoch (R8). Doing it again changes nothing (C4). A group's failure
 * is in its outcome; outcomes are in the order of `changes`. Stops between groups when the deadline
 * has passed. `verify: false` leaves out the reading back.
 */
export async function changeGroups(
  deps: ChangeDeps,
  changes: readonly GroupChange[],
  deadline: Deadline,
  options: { readonly verify?: boolean } = {},
): Promise<GroupOutcome[]> {
  const { cluster } = deps;
  await refuseMembers(
    cluster,
    changes.map(({ group }) => group),
  );
  const limit = pLimit(groupsInFlight);
  const work = changes.map((change) => limit(() => changeGroup(deps, change, deadline)));
  const failures = await allOf(work);
  const isVerified = options.verify !== false;
  const found = isVerified && changes.length > 0 ? await readBack(cluster, changes) : undefined;
  return changes.map((change, index) => {
    const failed = failures[index]!;
    const differing = found === undefined ? [] : differences(change, found, failed);
    return outcomeOf(change, [...failed, ...differing]);
  });
}

/** Whoever puts groups back after an error must not be overtaken by what was still under way. */
async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

async function changeGroup(
  { cluster, logger }: ChangeDeps,
  change: GroupChange,
  deadline: Deadline,
): Promise<Failure[]> {
  deadline.signal.throwIfAborted();
  if (deadline.passed()) return allFailed(change, "not reached before the deadline");
  const { group, commits, deletions } = change;
  const results = [
    ...(commits.length > 0 ? await cluster.commitOffsets(group, commits) : []),
    ...(deletions.length > 0 ? await cluster.deleteOffsets(group, deletions) : []),
  ];
  logger.debug("a consumer group was changed", {
    group,
    committed: commits.length,
    deleted: deletions.length,
  });
  return results.flatMap(failureOf);
}

function failureOf({ topic, partition, error }: OffsetResult): Failure[] {
  return error === undefined ? [] : [{ topic, partition, reason: error.message }];
}

function allFailed({ commits, deletions }: GroupChange, reason: string): Failure[] {
  return [...commits, ...deletions].map(({ topic, partition }) => ({ topic, partition, reason }));
}

type GroupPositions = CommittedOffsets["groups"][number]["offsets"];
/** By group: its positions, or why they could not be read. */
type ReadBack = ReadonlyMap<string, GroupPositions | string>;

async function readBack(cluster: Cluster, changes: readonly GroupChange[]): Promise<ReadBack> {
  const names = changes.map(({ group }) => group);
  try {
    const { groups, failed } = await cluster.committedOffsets(names);
    return new Map<string, GroupPositions | string>([
      ...groups.map(({ group, offsets }) => [group, offsets] as const),
      ...failed.map(({ group, reason }) => [group, reason] as const),
    ]);
  } catch (error) {
    // What was changed is to be told all the same.
    if (!isBackupError(error)) throw error;
    return new Map(names.map((group) => [group, error.message]));
  }
}

/** What differs of the partitions that did not fail already. */
function differences(
  change: GroupChange,
  readBack: ReadBack,
  failed: readonly Failure[],
): Failure[] {
  const found = readBack.get(change.group) ?? "the group is not among those that were read back";
  if (typeof found === "string") return allFailed(change, `could not be read back: ${found}`);
  const positions = new Map(found.map((at) => [partitionName(at), at]));
  const known = new Set(failed.map(partitionName));
  const differing: Failure[] = [];
  const differs = (topic: string, partition: number, reason: string) => {
    if (!known.has(partitionName({ topic, partition })))
      differing.push({ topic, partition, reason });
  };
  for (const { topic, partition, offset, leaderEpoch, metadata } of change.commits) {
    const now = positions.get(partitionName({ topic, partition }));
    const isEqual =
      now?.offset === offset && now.metadata === metadata && now.leaderEpoch === leaderEpoch;
    if (isEqual) continue;
    const stands = now === undefined ? "nothing" : `offset ${now.offset}, epoch ${now.leaderEpoch}`;
    const wanted = `offset ${offset}, epoch ${leaderEpoch}`;
    differs(topic, partition, `read back ${stands} where ${wanted} was committed`);
  }
  for (const { topic, partition } of change.deletions) {
    const now = positions.get(partitionName({ topic, partition }));
    if (now === undefined) continue;
    differs(topic, partition, `read back offset ${now.offset} where it was removed`);
  }
  return differing;
}

function outcomeOf(change: GroupChange, failures: Failure[]): GroupOutcome {
  const failed = new Set(failures.map(partitionName));
  const done = (places: GroupChange["deletions"]) =>
    places.filter((place) => !failed.has(partitionName(place))).length;
  return {
    group: change.group,
    status: failures.length === 0 ? "changed" : "failed",
    committed: done(change.commits),
    deleted: done(change.deletions),
    failures: failures.toSorted(byPlace),
  };
}
