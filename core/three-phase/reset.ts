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
import {
  type FailedResetReport,
  setsOffsets,
  type ThreePhaseDeps,
} from "#core/three-phase/contract.ts";
import type { RolledBackReset, ThreePhaseReport } from "#core/three-phase/documents.ts";
import type { KnownThreePhase } from "#core/three-phase/identity.ts";
import { takeSafetySnapshot } from "#core/three-phase/prepare.ts";
import { stillAsPlanned, undoReset } from "#core/three-phase/undo-reset.ts";

export interface ResetRequest extends KnownThreePhase {
  /** Of phase 1. */
  readonly safety_snapshot_id: string;
  readonly restore_id: string;
}

export interface FinishedReset {
  readonly status: "done";
  readonly plan: OffsetPlan;
  /** Of this attempt; undefined where the strategy sets nothing. */
  readonly snapshot_id: string | undefined;
  readonly groups: ThreePhaseReport["groups"];
  /** Attempts before this one, which failed or were cut off. */
  readonly earlier_resets: number;
}

export interface FailedReset extends Omit<FailedResetReport, "phases"> {
  readonly status: "reset_failed" | "reset_stopped";
  readonly error: BackupError;
}

/** An attempt as far as it came. */
interface Attempt {
  readonly number: number;
  snapshot?: OffsetSnapshot;
  plan?: OffsetPlan;
}

/**
 * A failure is answered after the groups were put back: with OffsetResetFailedError, or with
 * CancelledError when the deadline came first. Throws the BackupConflictError of a lost lease,
 * after which nothing is touched: another process may be setting the same groups.
 */
export async function resetGroups(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  deadline: Deadline,
): Promise<FinishedReset | FailedReset> {
  const { record, intent } = request;
  const earlier_resets = await record.resetCount();
  const left = await undoEarlier(deps, request, earlier_resets);
  if (left !== undefined) return left;
  const attempt: Attempt = { number: earlier_resets + 1 };
  try {
    if (setsOffsets(intent.strategy))
      attempt.snapshot = await snapshotBefore(deps, request, attempt);
    const known = {
      offset_source: intent.offset_source,
      positions: intent.positions,
      left_alone: intent.left_alone,
    };
    const { backup_id, strategy } = intent;
    const groups = { groups: intent.groups };
    const asked = { backup_id, groups, strategy, restore_id: request.restore_id, known };
    const plan = await planOffsets(deps, asked, deadline);
    attempt.plan = plan;
    await record.writePlan(attempt.number, plan);
    const done = { plan, earlier_resets, snapshot_id: attempt.snapshot?.snapshot_id };
    if (!setsOffsets(strategy)) return { status: "done", ...done, groups: plan.groups };
    const { outcomes } = await executePlan(deps, plan, { clamp: false }, deadline);
    throwFailed(outcomes);
    return { status: "done", ...done, groups: await withCommitted(deps, plan) };
  } catch (cause) {
    for (const reason of [deadline.signal.reason, cause]) {
      if (isBackupError(reason, "BackupConflictError")) throw reason;
    }
    const rolledBack = await rollBack(deps, attempt, cause);
    const recording = record.writeRolledBack(attempt.number, rolledBack);
    const unrecorded = await recording.then(() => undefined, messageOf);
    return failedReset(request, attempt, { ...rolledBack, unrecorded }, deadline.passed(), cause);
  }
}

/** Durable before the first commit of the attempt: what the groups did since the last one counts. */
async function snapshotBefore(
  deps: ThreePhaseDeps,
  { record, intent }: ResetRequest,
  { number }: Attempt,
): Promise<OffsetSnapshot> {
  const before = `reset ${number} of three-phase restore ${intent.three_phase_id}`;
  const taken = await takeSafetySnapshot(deps, intent.groups, before);
  await record.writeResetSnapshot(number, taken);
  return readSnapshot(deps.storage, taken.snapshot_id);
}

/**
 * An attempt that was cut off may have set a part of its plan, and one that failed may have left
 * groups behind. What still stands as it was set goes back first, so that the next snapshot holds
 * what the groups themselves have committed. Undefined when nothing is left to be put back.
 */
async function undoEarlier(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  number: number,
): Promise<FailedReset | undefined> {
  if (number === 0) return undefined;
  const { record } = request;
  const plan = await record.plan(number);
  const rolledBack = await record.rolledBack(number);
  if (plan === undefined || !setsOffsets(plan.strategy)) return undefined;
  const isBack = (name: string) =>
    rolledBack?.groups.some(({ group, status }) => group === name && status === "as_before");
  const pending = plan.groups.filter(({ group }) => isBack(group) !== true);
  if (pending.length === 0) return undefined;

  const taken = await record.resetSnapshot(number);
  const snapshotId = taken?.snapshot_id ?? request.safety_snapshot_id;
  const snapshot = await readSnapshot(deps.storage, snapshotId);
  const stillSet = await stillAsPlanned(deps, { ...plan, groups: pending });
  const groups = await undoReset(deps, snapshot, stillSet);
  const undone: RolledBackReset = {
    rolled_back_at: BigInt(deps.clock.nowMs()),
    reason: `attempt ${number} was cut off`,
    groups,
  };
  if (groups.some(({ status }) => status === "not_rolled_back")) {
    const reason = `what attempt ${number} had set could not be put back`;
    return failedReset(request, { number, snapshot, plan }, { ...undone, reason });
  }
  if (rolledBack === undefined) await record.writeRolledBack(number, undone);
  return undefined;
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

/** Needs the target alone: a store that fails now does not keep groups from being put back. */
async function rollBack(
  deps: ThreePhaseDeps,
  { snapshot, plan }: Attempt,
  cause: unknown,
): Promise<RolledBackReset> {
  // Without either nothing was sent.
  const isSent = snapshot !== undefined && plan !== undefined;
  const groups = isSent ? await undoReset(deps, snapshot, plan) : [];
  return { rolled_back_at: BigInt(deps.clock.nowMs()), reason: messageOf(cause), groups };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function failedReset(
  { intent, safety_snapshot_id, restore_id }: ResetRequest,
  { number, snapshot, plan }: Attempt,
  rolledBack: RolledBackReset & { readonly unrecorded?: string | undefined },
  isStopped = false,
  cause?: unknown,
): FailedReset {
  const { three_phase_id } = intent;
  const { groups, reason, rolled_back_at, unrecorded } = rolledBack;
  const left = groups.filter((one) => one.status === "not_rolled_back");
  const status = left.length === 0 && isStopped ? "reset_stopped" : "reset_failed";
  const reset_snapshot_id = snapshot?.snapshot_id;
  const state = stateText(left, reset_snapshot_id);
  const options = {
    cause,
    details: { three_phase_id, snapshot_id: reset_snapshot_id ?? safety_snapshot_id },
  };
  const lost = unrecorded === undefined ? "" : `; this could not be recorded: ${unrecorded}`;
  const error =
    status === "reset_stopped"
      ? new BackupError(
          "CancelledError",
          `three-phase restore ${three_phase_id} was stopped while it set offsets; ${state}${lost}`,
          { ...options, hint: "Run the same command again to continue it with the reset." },
        )
      : new BackupError(
          "OffsetResetFailedError",
          `records are restored, offsets of groups are not set: ${reason}; ${state}${lost}`,
          { ...options, hint: failedHint(left.length > 0) },
        );
  return {
    ...{ status, error, three_phase_id, restore_id, safety_snapshot_id },
    ...(reset_snapshot_id !== undefined && { reset_snapshot_id }),
    ...{ attempt: number, reason, rolled_back_at, groups },
    ...(plan !== undefined && { plan }),
  };
}

function stateText(left: RolledBackReset["groups"], snapshotId: string | undefined): string {
  if (snapshotId === undefined) return "no group was touched";
  if (left.length === 0) {
    return `all groups stand where they stood before, as in snapshot ${snapshotId}`;
  }
  const named = left.map((one) => `group ${JSON.stringify(one.group)} (${one.reason})`);
  return `NOT put back to snapshot ${snapshotId}: ${named.join(", ")}`;
}

function failedHint(isLeft: boolean): string {
  return isLeft
    ? "Stop the members of those groups, mend the cause and run the same command again: it puts " +
        "them back and repeats the reset alone."
    : "Mend the cause and run the same command again: it repeats the reset alone.";
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
