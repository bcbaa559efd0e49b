/** Puts back what a reset may have changed: each planned place as its snapshot says. */
import pLimit from "p-limit";
import { changeGroups } from "#core/offsets/change-groups.ts";
import type { GroupChange, OffsetPlan, OffsetSnapshot } from "#core/offsets/contract.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import { deadlineAt } from "#core/runtime.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { RolledBackReset } from "#core/three-phase/documents.ts";
import { placesOf, Standing } from "#core/three-phase/standing.ts";

/** Whoever wants to stop still wants the groups back, and a minute is plenty for that. */
const undoMsMax = 60_000;
const groupsInFlight = 8;

type UndoneGroup = RolledBackReset["groups"][number];

/**
 * Never throws: what became of each group is in the answer. Groups that stand as they stood are
 * not written to, so that a member that joined one stands in nobody else's way.
 */
export async function undoReset(
  deps: ThreePhaseDeps,
  snapshot: OffsetSnapshot,
  plan: OffsetPlan,
): Promise<UndoneGroup[]> {
  const limit = pLimit(groupsInFlight);
  let topicIds: Map<string, string>;
  try {
    topicIds = await currentTopicIds(deps, plan);
  } catch (error) {
    return plan.groups.map(({ group }) => notRolledBack(group, error));
  }
  const undone = plan.groups.map((planned) =>
    limit(() => undoGroup(deps, changeBack(snapshot, planned, topicIds))),
  );
  return Promise.all(undone);
}

/**
 * The part of a plan that still stands as it was set. What has moved on since was moved by others,
 * and is theirs.
 */
export async function stillAsPlanned(
  { cluster }: ThreePhaseDeps,
  plan: OffsetPlan,
): Promise<OffsetPlan> {
  const standing = await Standing.read(cluster, plan);
  const groups = plan.groups.map(({ group, partitions }) => ({
    group,
    partitions: partitions.filter((planned) => standing.isAsPlanned(group, planned)),
  }));
  return { ...plan, groups: groups.filter(({ partitions }) => partitions.length > 0) };
}

async function currentTopicIds(
  { cluster }: ThreePhaseDeps,
  plan: OffsetPlan,
): Promise<Map<string, string>> {
  const names = plan.groups.flatMap(({ partitions }) => partitions.map(({ topic }) => topic));
  const found = await cluster.describeTopics([...new Set(names)]);
  return new Map(found.map(({ name, topicId }) => [name, topicId]));
}

/** An epoch means something in the topic that it was committed in, and nowhere else (R8). */
function changeBack(
  snapshot: OffsetSnapshot,
  { group, partitions }: OffsetPlan["groups"][number],
  topicIds: ReadonlyMap<string, string>,
): GroupChange {
  const before = snapshot.consumer_groups[group]?.partitions ?? {};
  const commits: GroupChange["commits"][number][] = [];
  const deletions: GroupChange["deletions"][number][] = [];
  for (const { topic, partition, target_offset } of partitions) {
    if (target_offset === null) continue;
    const name = partitionName({ topic, partition });
    const stood = Object.hasOwn(before, name) ? before[name] : undefined;
    if (stood === undefined) {
      deletions.push({ topic, partition });
      continue;
    }
    const isSameTopic = snapshot.topics[topic]?.topic_id === topicIds.get(topic);
    const leaderEpoch = isSameTopic ? (stood.leader_epoch ?? -1) : -1;
    const { offset, metadata } = stood;
    commits.push({ topic, partition, offset, leaderEpoch, metadata });
  }
  return { group, commits, deletions };
}

async function undoGroup(deps: ThreePhaseDeps, change: GroupChange): Promise<UndoneGroup> {
  const { group } = change;
  try {
    if (await standsAsBefore(deps, change)) return { group, status: "as_before" };
    const deadline = deadlineAt(deps.clock, deps.clock.monotonicMs() + undoMsMax);
    const [outcome] = await changeGroups(deps, [change], deadline);
    const [failure] = outcome?.failures ?? [];
    if (failure === undefined) return { group, status: "as_before" };
    const { topic, partition, reason } = failure;
    return { group, status: "not_rolled_back", reason: `${topic}-${partition}: ${reason}` };
  } catch (error) {
    return notRolledBack(group, error);
  }
}

function notRolledBack(group: string, error: unknown): UndoneGroup {
  const reason = error instanceof Error ? error.message : String(error);
  return { group, status: "not_rolled_back", reason };
}

async function standsAsBefore({ cluster }: ThreePhaseDeps, change: GroupChange): Promise<boolean> {
  const { groups, failed } = await cluster.committedOffsets([change.group]);
  if (failed[0] !== undefined) throw failed[0].error;
  const now = placesOf(groups[0]?.offsets ?? []);
  const isSame = ({ offset, leaderEpoch, metadata, ...at }: GroupChange["commits"][number]) => {
    const there = now.get(partitionName(at));
    return (
      there?.offset === offset && there.leaderEpoch === leaderEpoch && there.metadata === metadata
    );
  };
  return (
    change.commits.every(isSame) && change.deletions.every((at) => !now.has(partitionName(at)))
  );
}
