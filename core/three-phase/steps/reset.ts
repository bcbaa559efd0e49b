/** Phase 3, after plan and approval: the groups' offsets, or all of them back to where they stood. */
import type { ErrorName } from "#core/errors.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { Attempt } from "#core/three-phase/failed-reset.ts";
import { finishThreePhase, phasesOf } from "#core/three-phase/phases.ts";
import { setOffsets } from "#core/three-phase/reset.ts";
import {
  type DistributedThreePhaseResult,
  type PlannedRun,
  resultOf,
  type ThreePhaseRun,
} from "#core/three-phase/steps/contract.ts";
import {
  preparedRun,
  releaseThreePhase,
  resetRequestOf,
  restoredRun,
  underLease,
} from "#core/three-phase/steps/run.ts";
import { present, type ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";
import { undoAttempt } from "#core/three-phase/undo-earlier.ts";

/**
 * Carries out the planned attempt, reads back, writes the report and lets go of the lease. Done
 * again after its answer was lost, or in the middle, it goes on and answers the same. Throws what
 * `setOffsets` throws, with the groups as far as they came: `rollBackRun` is to follow.
 */
export async function resetRun(
  deps: ThreePhaseDeps,
  run: PlannedRun,
  deadline: Deadline,
): Promise<DistributedThreePhaseResult> {
  const { storage, clock } = deps;
  const startedAtMs = clock.monotonicMs();
  const phases = await restoredRun(deps, run);
  const { record, restore, restored } = phases;
  const known = await record.report();
  if (known !== undefined) {
    await releaseThreePhase(deps, run);
    return resultOf("done", known, record);
  }
  const report = await underLease(deps, run, deadline, async (deadline) => {
    const taken = present(await record.resetSnapshot(run.attempt), record, "snapshot");
    const attempt: Attempt = {
      number: run.attempt,
      snapshot: await readSnapshot(storage, taken.snapshot_id),
      plan: present(await record.plan(run.attempt), record, "plan"),
    };
    const reset = await setOffsets(deps, resetRequestOf(phases), attempt, deadline);
    deadline.signal.throwIfAborted();
    const resetMs = run.plan_ms + clock.monotonicMs() - startedAtMs;
    const durations = phasesOf(phases, restored, { prepareMs: run.prepare_ms, resetMs });
    return finishThreePhase(deps, phases, { restore, reset, phases: durations });
  });
  await releaseThreePhase(deps, run);
  return resultOf("done", report, record);
}

export interface ToldFailure {
  readonly error: string;
  readonly message: string;
}

export type RolledBackRun =
  | { readonly status: "rolled_back"; readonly error: string; readonly message: string }
  /** The attempt had been carried out, and only its answer was lost. */
  | { readonly status: "done"; readonly result: DistributedThreePhaseResult };

/**
 * After a failure of the plan or of the reset: what still stands as the newest attempt set it goes
 * back to that attempt's snapshot, and the lease is let go. May be repeated. Throws
 * BackupConflictError where the lease is lost: then another process is at it.
 */
export async function rollBackRun(
  deps: ThreePhaseDeps,
  run: ThreePhaseRun & Partial<Pick<PlannedRun, "attempt">>,
  failure: ToldFailure,
  deadline: Deadline,
): Promise<RolledBackRun> {
  const { record } = await preparedRun(deps, run);
  const known = await record.report();
  if (known !== undefined) {
    await releaseThreePhase(deps, run);
    return { status: "done", result: resultOf("done", known, record) };
  }
  if ((await record.restored()) === undefined) {
    await releaseThreePhase(deps, run);
    return { status: "rolled_back", ...failure };
  }
  const phases = await restoredRun(deps, run);
  const { error } = await underLease(deps, run, deadline, async () => {
    const request = resetRequestOf(phases);
    const number = run.attempt ?? (await unclosedAttempt(record));
    return undoAttempt(deps, request, number, failure.message);
  });
  await releaseThreePhase(deps, run);
  return { status: "rolled_back", error: error.name, message: error.message };
}

/** The newest one, where the failure came before its plan was answered; 0 where there is none. */
async function unclosedAttempt(record: ThreePhaseRecord): Promise<number> {
  const number = await record.resetCount();
  const isClosed = number > 0 && (await record.rolledBack(number)) !== undefined;
  return isClosed ? 0 : number;
}

/** Where `rollBackRun` itself failed for good: nobody knows how the groups stand. */
export function notUndone(failure: ToldFailure, undoing: ToldFailure): ToldFailure {
  return {
    error: "OffsetResetFailedError" satisfies ErrorName,
    message:
      `offsets of groups may be set in part: ${failure.error}: ${failure.message}; they could ` +
      `not be put back: ${undoing.error}: ${undoing.message}; the same input puts them back first`,
  };
}
