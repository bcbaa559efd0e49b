/**
 * A whole offset reset, for the command line: plan, checks, safety snapshot, commit, read back.
 * Nothing is written to the cluster before the snapshot is durable.
 */

import { type ErrorName, isBackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { changeGroups, groupsInTheWay, refuseMembers } from "#core/offsets/change-groups.ts";
import {
  type GroupOutcome,
  type OffsetPlan,
  reportOnlyStrategies,
} from "#core/offsets/contract.ts";
import { type ExecuteOptions, prepareChanges } from "#core/offsets/execute.ts";
import { type OffsetPlanRequest, type PlanDeps, planOffsets } from "#core/offsets/plan.ts";
import { takeSnapshotOf } from "#core/offsets/snapshot.ts";
import type { Deadline, NewId } from "#core/runtime.ts";

export interface ResetDeps extends PlanDeps {
  readonly cluster: Cluster;
  readonly newId: NewId;
}

export interface ResetResult {
  /**
   * `incomplete`: at least one group is not as planned, could not be read, or stood in a topic whose
   * restored one is gone; `report_only`: the strategy commits nothing; `nothing_to_do`: no offset
   * is decided.
   */
  readonly status: "done" | "incomplete" | "report_only" | "nothing_to_do";
  readonly plan: OffsetPlan;
  /** What the groups had committed before; absent where nothing was committed. */
  readonly safety_snapshot_id?: string;
  readonly outcomes: readonly GroupOutcome[];
}

/**
 * Throws what `planOffsets`, `prepareChanges` and `takeSnapshotOf` throw, and GroupNotEmptyError
 * with the members named: all of these before anything is committed.
 */
export async function resetOffsets(
  deps: ResetDeps,
  request: OffsetPlanRequest,
  options: ExecuteOptions,
  deadline: Deadline,
): Promise<ResetResult> {
  const plan = await planOffsets(deps, request, deadline);
  if (reportOnlyStrategies.includes(plan.strategy)) {
    return { status: "report_only", plan, outcomes: [] };
  }
  const unreadable = plan.groups.filter(isUnreadable).map(unreadableOutcome);
  const readable = { ...plan, groups: plan.groups.filter((group) => !isUnreadable(group)) };
  const changes = await prepareChanges(deps, readable, options);
  const isWhole =
    unreadable.length === 0 && !plan.left_alone.some(({ unread, gone }) => unread || gone);
  if (changes.length === 0) {
    const status = isWhole ? "nothing_to_do" : "incomplete";
    return { status, plan, outcomes: unreadable };
  }
  const groups = changes.map(({ group }) => group);
  await refuseMembers(deps.cluster, groups);
  deadline.signal.throwIfAborted();
  const description = `before offset-reset of backup ${request.backup_id}, strategy ${plan.strategy}`;
  const { snapshot_id } = await takeSnapshotOf(deps, groups, description);
  deps.logger.info(`safety snapshot ${snapshot_id}`, { snapshot_id });
  const changed = await changeGroups(deps, changes, deadline);
  const outcomes = [...changed, ...unreadable].sort((a, b) => (a.group < b.group ? -1 : 1));
  const isDone = isWhole && changed.every(({ status }) => status === "changed");
  return {
    status: isDone ? "done" : "incomplete",
    plan,
    safety_snapshot_id: snapshot_id,
    outcomes,
  };
}

/** A reason for which `resetOffsets` would refuse a plan before its first write. */
export interface ResetFinding {
  readonly code: ErrorName;
  readonly message: string;
  /** What the operator can do about it. */
  readonly remedy: string;
}

/**
 * A plan and, with a cluster, what `resetOffsets` would refuse it for; nothing is refused where
 * the strategy only reports. Throws what `planOffsets` throws, and what else `prepareChanges` does.
 */
export async function checkedPlan(
  deps: PlanDeps,
  request: OffsetPlanRequest,
  deadline: Deadline,
): Promise<{ plan: OffsetPlan; findings: ResetFinding[] }> {
  const { cluster, logger } = deps;
  const plan = await planOffsets(deps, request, deadline);
  if (cluster === undefined || reportOnlyStrategies.includes(plan.strategy)) {
    return { plan, findings: [] };
  }
  const readable = { ...plan, groups: plan.groups.filter((group) => !isUnreadable(group)) };
  const errors = await groupsInTheWay(cluster, decidedGroups(readable));
  try {
    await prepareChanges({ cluster, logger }, readable, { clamp: false });
  } catch (error) {
    if (!isBackupError(error, "PreflightRefusedError")) throw error;
    errors.push(error);
  }
  const findings = errors.map(({ name: code, message, hint: remedy }) => {
    return { code, message, remedy };
  });
  return { plan, findings };
}

function decidedGroups({ groups }: OffsetPlan): string[] {
  return groups
    .filter(({ partitions }) => partitions.some(({ target_offset }) => target_offset !== null))
    .map(({ group }) => group);
}

type PlannedGroup = OffsetPlan["groups"][number];

/** What cannot be read cannot be put back: such a group is not touched. */
function isUnreadable({ partitions }: PlannedGroup): boolean {
  return partitions.some(({ current_offset }) => current_offset === undefined);
}

function unreadableOutcome({ group, partitions }: PlannedGroup): GroupOutcome {
  const failures = partitions.map(({ topic, partition, note = "" }) => ({
    topic,
    partition,
    reason: `left as it is: ${note}`,
  }));
  return { group, status: "failed", committed: 0, deleted: 0, failures };
}
