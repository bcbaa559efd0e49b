/** A reset that failed: the groups go back, and what became of them is told. */
import { BackupError } from "#core/errors.ts";
import type { OffsetPlan, OffsetSnapshot } from "#core/offsets/contract.ts";
import type { FailedResetReport, ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { RolledBackReset } from "#core/three-phase/documents.ts";
import type { KnownThreePhase } from "#core/three-phase/identity.ts";
import { undoReset } from "#core/three-phase/undo-reset.ts";

export interface ResetRequest extends KnownThreePhase {
  /** Of phase 1. */
  readonly safety_snapshot_id: string;
  readonly restore_id: string;
}

export interface FailedReset extends Omit<FailedResetReport, "phases"> {
  readonly status: "reset_failed" | "reset_stopped";
  readonly error: BackupError;
}

/** An attempt to set offsets as far as it came. */
export interface Attempt {
  /** Counted from 1. */
  readonly number: number;
  snapshot?: OffsetSnapshot;
  plan?: OffsetPlan;
  /** True from right before the first commit. */
  isSent?: boolean;
}

/**
 * What the process that sent an attempt does when that fails. Needs the target alone: a store that
 * fails now does not keep groups from being put back.
 */
export async function rollBackReset(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  attempt: Attempt,
  cause: unknown,
  isStopped: boolean,
): Promise<FailedReset> {
  const { snapshot, plan, isSent = false } = attempt;
  const groups =
    isSent && snapshot !== undefined && plan !== undefined
      ? await undoReset(deps, snapshot, plan)
      : [];
  const reason = messageOf(cause);
  const rolledBack = { rolled_back_at: BigInt(deps.clock.nowMs()), reason, groups };
  const recording = request.record.writeRolledBack(attempt.number, rolledBack);
  const unrecorded = await recording.then(() => undefined, messageOf);
  return failedReset(request, attempt, { ...rolledBack, unrecorded }, isStopped, cause);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Groups that are not put back are named in the error, as is where all of them stood. */
export function failedReset(
  { intent, safety_snapshot_id, restore_id }: ResetRequest,
  { number, snapshot, plan, isSent = false }: Attempt,
  rolledBack: RolledBackReset & { readonly unrecorded?: string | undefined },
  isStopped = false,
  cause?: unknown,
): FailedReset {
  const { three_phase_id } = intent;
  const { groups, reason, rolled_back_at, unrecorded } = rolledBack;
  const left = groups.filter((one) => one.status === "not_rolled_back");
  const status = left.length === 0 && isStopped ? "reset_stopped" : "reset_failed";
  const reset_snapshot_id = snapshot?.snapshot_id;
  const state = stateText(left, isSent ? reset_snapshot_id : undefined);
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
  if (left.length === 0 && snapshotId === undefined) return "no group was touched";
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
