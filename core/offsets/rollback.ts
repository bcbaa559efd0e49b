/** Puts consumer groups back to where a snapshot says that they stood. */
import { BackupError } from "#core/errors.ts";
import { changeGroups, refuseMembers } from "#core/offsets/change-groups.ts";
import type { GroupChange, GroupOutcome, OffsetSnapshot } from "#core/offsets/contract.ts";
import {
  planRollback,
  type RollbackFinding,
  type RollbackPlan,
  snapshotGroupsOf,
} from "#core/offsets/rollback-plan.ts";
import { readSnapshot, type SnapshotDeps, takeSnapshotOf } from "#core/offsets/snapshot.ts";
import { partitionName, partitionNamed } from "#core/offsets/topic-partition.ts";
import type { Deadline } from "#core/runtime.ts";

export interface RollbackRequest {
  readonly snapshot_id: string;
  /** Names or patterns of the snapshot's groups; all of them when not given. */
  readonly groups?: readonly string[];
  /** Consent to take the nearer end of the log for a position outside it. */
  readonly clamp: boolean;
  /** Read back what was committed, and compare. */
  readonly verify: boolean;
}

export interface RollbackResult {
  /** `failed`: at least one group is not where the snapshot says. */
  readonly status: "done" | "failed";
  readonly snapshot_id: string;
  /** Of the same groups, right before the first change: a rollback to it undoes this one. */
  readonly safety_snapshot_id: string;
  readonly cluster_id: string;
  readonly verified: boolean;
  readonly warnings: readonly RollbackFinding[];
  /** Ascending by group. */
  readonly outcomes: readonly GroupOutcome[];
}

/**
 * Commits the snapshot's positions with their metadata, and removes what the groups have committed
 * elsewhere since; groups that it does not hold stay as they are. Before the first change: all
 * groups are without members (else GroupNotEmptyError), all positions lie in logs of this cluster
 * (else PreflightRefusedError, or they are clamped when told so), and a safety snapshot of the
 * groups is durable. Doing it again changes nothing.
 */
export async function rollbackOffsets(
  deps: SnapshotDeps,
  request: RollbackRequest,
  deadline: Deadline,
): Promise<RollbackResult> {
  const checked = await checkRollback(deps, request);
  deadline.signal.throwIfAborted();
  const safety = await snapshotBefore(deps, checked);
  return rollBack(deps, request, { ...checked, safety }, deadline);
}

/** What the steps of a rollback in several processes hand to one another. */
export interface BegunRollback {
  readonly snapshot_id: string;
  /** Durable. */
  readonly safety_snapshot_id: string;
  readonly cluster_id: string;
  readonly group_count: number;
}

/** The first step alone: all checks, and the safety snapshot. Throws as `rollbackOffsets` does. */
export async function beginRollback(
  deps: SnapshotDeps,
  request: RollbackRequest,
): Promise<BegunRollback> {
  const checked = await checkRollback(deps, request);
  const safety = await snapshotBefore(deps, checked);
  return {
    snapshot_id: request.snapshot_id,
    safety_snapshot_id: safety.snapshot_id,
    cluster_id: deps.cluster.clusterId,
    group_count: checked.groups.length,
  };
}

/** The rest, with the safety snapshot that the first step took, however often it is repeated. */
export async function finishRollback(
  deps: SnapshotDeps,
  request: RollbackRequest & Pick<BegunRollback, "safety_snapshot_id">,
  deadline: Deadline,
): Promise<RollbackResult> {
  const checked = await checkRollback(deps, request);
  const safety = await readSnapshot(deps.storage, request.safety_snapshot_id);
  return rollBack(deps, request, { ...checked, safety }, deadline);
}

interface CheckedRollback {
  readonly snapshot: OffsetSnapshot;
  readonly groups: readonly string[];
  readonly plan: RollbackPlan;
}

async function checkRollback(
  { storage, cluster }: SnapshotDeps,
  { snapshot_id, groups: wanted, clamp }: RollbackRequest,
): Promise<CheckedRollback> {
  const snapshot = await readSnapshot(storage, snapshot_id);
  const groups = snapshotGroupsOf(snapshot, wanted);
  const plan = await planRollback(cluster, snapshot, groups, clamp);
  refuse(snapshot, plan.findings);
  await refuseMembers(cluster, groups);
  return { snapshot, groups, plan };
}

async function snapshotBefore(
  deps: SnapshotDeps,
  { snapshot: { snapshot_id }, groups }: CheckedRollback,
): Promise<OffsetSnapshot> {
  const safety = await takeSnapshotOf(deps, groups, `before the rollback to ${snapshot_id}`);
  const { snapshot_id: id } = safety;
  deps.logger.info("stored what the groups have committed now", { snapshot_id: id });
  return safety;
}

async function rollBack(
  deps: SnapshotDeps,
  { verify }: RollbackRequest,
  { snapshot, plan, safety }: CheckedRollback & { readonly safety: OffsetSnapshot },
  deadline: Deadline,
): Promise<RollbackResult> {
  const changes = plan.groups.map(({ group, commits }) => changeOf(safety, group, commits));
  const outcomes = await changeGroups(deps, changes, deadline, { verify });
  return {
    status: outcomes.every(({ status }) => status === "changed") ? "done" : "failed",
    snapshot_id: snapshot.snapshot_id,
    safety_snapshot_id: safety.snapshot_id,
    cluster_id: deps.cluster.clusterId,
    verified: verify,
    warnings: plan.findings,
    outcomes,
  };
}

/** What the group has committed and the snapshot does not hold goes. */
function changeOf(
  now: OffsetSnapshot,
  group: string,
  commits: GroupChange["commits"],
): GroupChange {
  const kept = new Set(commits.map(partitionName));
  const committed = Object.keys(now.consumer_groups[group]?.partitions ?? {});
  const deletions = committed.filter((name) => !kept.has(name)).map(partitionNamed);
  return { group, commits, deletions };
}

/** Groups named in one message. */
const groupsNamed = 5;

/** Throws OffsetResetFailedError where a group is not where the snapshot says. */
export function throwIfNotRolledBack({
  outcomes,
  snapshot_id,
  safety_snapshot_id,
}: RollbackResult) {
  const failed = outcomes.filter(({ status }) => status === "failed");
  if (failed.length === 0) return;
  const named = failed.slice(0, groupsNamed).map(({ group, failures: [first] }) => {
    const where = first === undefined ? "" : `, ${partitionName(first)}: ${first.reason}`;
    return `group ${JSON.stringify(group)}${where}`;
  });
  const more = failed.length > groupsNamed ? `; and ${failed.length - groupsNamed} more` : "";
  throw new BackupError(
    "OffsetResetFailedError",
    `${failed.length} of ${outcomes.length} groups do not stand where snapshot ${snapshot_id} ` +
      `says: ${named.join("; ")}${more}. Before, they stood as in snapshot ${safety_snapshot_id}`,
    {
      hint: "Mend the cause and repeat it: what is right already is not changed by that.",
      details: { snapshot_id, safety_snapshot_id },
    },
  );
}

/** Problems named in one message; `offset-rollback verify` shows all. */
const problemsNamed = 5;

function refuse(snapshot: OffsetSnapshot, findings: readonly RollbackFinding[]): void {
  const errors = findings.filter(({ severity }) => severity === "error");
  const [first] = errors;
  if (first === undefined) return;
  const named = errors.slice(0, problemsNamed).map(({ message }) => message);
  const more = errors.length > problemsNamed ? `\nand ${errors.length - problemsNamed} more` : "";
  const what = `nothing was changed: a rollback to ${snapshot.snapshot_id} is refused`;
  const remedies = [...new Set(errors.map(({ remedy }) => remedy))];
  throw new BackupError("PreflightRefusedError", `${what}:\n${named.join("\n")}${more}`, {
    hint: remedies.join(" "),
    details: { snapshot_id: snapshot.snapshot_id, problems: errors.length },
  });
}
