/**
 * Phase 3: snapshot, plan, set, read back. A failure puts the groups back to where the attempt's
 * snapshot has them and is written down; the next attempt begins with snapshot and plan of its own.
 */
import { BackupError, isBackupError } from "#core/errors.ts";
import type { GroupOutcome, OffsetPlan, OffsetSnapshot } from "#core/offsets/contract.ts";
import { executePlan } from "#core/offsets/execute.ts";
import { planOffsets } from "#core/offsets/plan.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import type { Deadline } from "#core/runtime.ts";
import { setsOffsets, type ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { ThreePhaseReport } from "#core/three-phase/documents.ts";
import {
  type Attempt,
  type FailedReset,
  type ResetRequest,
  rollBackReset,
} from "#core/three-phase/failed-reset.ts";
import { takeSafetySnapshot } from "#core/three-phase/prepare.ts";
import { Standing } from "#core/three-phase/standing.ts";
import { undoEarlier } from "#core/three-phase/undo-earlier.ts";

export interface FinishedReset {
  readonly status: "done";
  readonly plan: OffsetPlan;
  /** Of this attempt; undefined where the strategy sets nothing. */
  readonly snapshot_id: string | undefined;
  readonly groups: ThreePhaseReport["groups"];
  /** Attempts before this one, which failed, were cut off or rejected. */
  readonly earlier_resets: number;
}

/**
 * The whole phase in one process. A failure is answered after the groups were put back: with
 * OffsetResetFailedError, or with CancelledError when the deadline came first. Throws the
 * BackupConflictError of a lost lease, after which nothing is touched: another process may be
 * setting the same groups.
 */
export async function resetGroups(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  deadline: Deadline,
): Promise<FinishedReset | FailedReset> {
  const earlier = await request.record.resetCount();
  const left = await undoEarlier(deps, request, earlier);
  if (left !== undefined) return left;
  const attempt: Attempt = { number: earlier + 1 };
  try {
    await planReset(deps, request, attempt, deadline);
    return await setOffsets(deps, request, attempt, deadline);
  } catch (cause) {
    for (const reason of [deadline.signal.reason, cause]) {
      if (isBackupError(reason, "BackupConflictError")) throw reason;
    }
    return rollBackReset(deps, request, attempt, cause, deadline.passed());
  }
}

/**
 * Snapshot and plan of an attempt, both durable before its first commit: what the groups did since
 * the last attempt counts. `attempt` is told each when it is there.
 */
export async function planReset(
  deps: ThreePhaseDeps,
  { record, intent, restore_id }: ResetRequest,
  attempt: Attempt,
  deadline: Deadline,
): Promise<OffsetPlan> {
  const { backup_id, strategy, offset_source, positions, left_alone } = intent;
  if (setsOffsets(strategy)) {
    const before = `reset ${attempt.number} of three-phase restore ${intent.three_phase_id}`;
    const taken = await takeSafetySnapshot(deps, intent.groups, before);
    await record.writeResetSnapshot(attempt.number, taken);
    attempt.snapshot = await readSnapshot(deps.storage, taken.snapshot_id);
  }
  const known = { offset_source, positions, left_alone };
  const groups = { groups: intent.groups };
  const plan = await planOffsets(
    deps,
    { backup_id, groups, strategy, restore_id, known },
    deadline,
  );
  await record.writePlan(attempt.number, plan);
  attempt.plan = plan;
  return plan;
}

/**
 * Carries out a planned attempt, or the rest of one that was cut off, and reads back what is
 * committed. Throws where a group is not as planned then, and, before anything is sent,
 * PreflightRefusedError where groups have moved since the plan.
 */
export async function setOffsets(
  deps: ThreePhaseDeps,
  { intent: { strategy } }: ResetRequest,
  attempt: Attempt,
  deadline: Deadline,
): Promise<FinishedReset> {
  const { number, snapshot } = attempt;
  const plan = attempt.plan!;
  const done = { status: "done", plan, earlier_resets: number - 1 } as const;
  const snapshot_id = snapshot?.snapshot_id;
  if (snapshot === undefined || !setsOffsets(strategy)) {
    return { ...done, snapshot_id, groups: plan.groups };
  }
  await refuseMoved(deps, snapshot, plan);
  attempt.isSent = true;
  const { outcomes } = await executePlan(deps, plan, { clamp: false }, deadline);
  throwFailed(outcomes);
  return { ...done, snapshot_id, groups: await withCommitted(deps, plan) };
}

/** Places named in one message; the rest are counted. */
const placesNamed = 3;

/** Between plan and reset an approval may have taken hours: what was approved is no longer true. */
async function refuseMoved(
  deps: ThreePhaseDeps,
  snapshot: OffsetSnapshot,
  plan: OffsetPlan,
): Promise<void> {
  const moved = (await Standing.read(deps.cluster, plan)).movedSince(snapshot, plan);
  if (moved.length === 0) return;
  const more = moved.length > placesNamed ? `; and ${moved.length - placesNamed} more` : "";
  throw new BackupError(
    "PreflightRefusedError",
    `groups have moved since the plan was made: ${moved.slice(0, placesNamed).join("; ")}${more}`,
    { hint: "Stop the groups' consumers and repeat the request: it plans anew." },
  );
}

const failuresNamed = 3;

function throwFailed(outcomes: readonly GroupOutcome[]): void {
  const failed = outcomes.filter(({ status }) => status === "failed");
  if (failed.length === 0) return;
  const lines = failed.slice(0, failuresNamed).map(({ group, failures: [first] }) => {
    const where = first === undefined ? "" : `, ${partitionName(first)}: ${first.reason}`;
    return `group ${JSON.stringify(group)}${where}`;
  });
  const more = failed.length > failuresNamed ? `; and ${failed.length - failuresNamed} more` : "";
  throw new Error(`${lines.join("; ")}${more}`);
}

/** What is committed now, beside what was planned. */
async function withCommitted(
  { cluster }: ThreePhaseDeps,
  plan: OffsetPlan,
): Promise<ThreePhaseReport["groups"]> {
  const committed = await cluster.committedOffsets(plan.groups.map(({ group }) => group));
  if (committed.failed[0] !== undefined) throw committed.failed[0].error;
  const byGroup = new Map(
    committed.groups.map(({ group, offsets }) => [
      group,
      new Map(offsets.map((at) => [partitionName(at), at.offset])),
    ]),
  );
  return plan.groups.map(({ group, partitions }) => ({
    group,
    partitions: partitions.map((planned) => ({
      ...planned,
      committed_offset: byGroup.get(group)?.get(partitionName(planned)) ?? null,
    })),
  }));
}
