/** Phase 3, first step: where the groups shall stand. */
import type { OffsetPlan } from "#core/offsets/contract.ts";
import type { Deadline } from "#core/runtime.ts";
import { setsOffsets, type ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { Attempt } from "#core/three-phase/failed-reset.ts";
import {
  finishThreePhase,
  phasesOf,
  recordRestored,
  restoreSoFar,
} from "#core/three-phase/phases.ts";
import { planReset, setOffsets } from "#core/three-phase/reset.ts";
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
  underLease,
} from "#core/three-phase/steps/run.ts";
import { undoEarlier } from "#core/three-phase/undo-earlier.ts";

/** What whoever is to approve a plan is told of it at once. */
export interface PlanSummary {
  readonly groups: number;
  /** In which an offset is decided. */
  readonly partitions: number;
  readonly restored_records: bigint;
  /** Where the question will be, relative to the storage's root. */
  readonly approval: string;
}

export type PlannedReset =
  | { readonly status: "planned"; readonly run: PlannedRun; readonly summary: PlanSummary }
  /** The strategy only recommends: this was all. */
  | { readonly status: "done"; readonly result: DistributedThreePhaseResult }
  /** Partitions could not be restored: no group was touched, the same request goes on. */
  | { readonly status: "incomplete"; readonly three_phase_id: string };

/**
 * Puts back what an earlier attempt has left, and plans another one. The lease is held when this
 * answers `planned`, and released else, but not where it throws: OffsetResetFailedError where an
 * earlier attempt cannot be undone, and what `planReset` throws.
 */
export async function planRunsReset(
  deps: ThreePhaseDeps,
  run: ThreePhaseRun,
  deadline: Deadline,
): Promise<PlannedReset> {
  const planned = await underLease(deps, run, deadline, (deadline) => plan(deps, run, deadline));
  if (planned.status !== "planned") await releaseThreePhase(deps, run);
  return planned;
}

async function plan(
  deps: ThreePhaseDeps,
  run: ThreePhaseRun,
  deadline: Deadline,
): Promise<PlannedReset> {
  const startedAtMs = deps.clock.monotonicMs();
  const prepared = await preparedRun(deps, run);
  const { record, intent } = prepared;
  const { finished } = await restoreSoFar(deps, prepared);
  if (finished === undefined) {
    return { status: "incomplete", three_phase_id: intent.three_phase_id };
  }
  const known = await record.report();
  if (known !== undefined) return { status: "done", result: resultOf("done", known, record) };
  const restored = await recordRestored(deps, prepared, finished);
  const request = resetRequestOf({ ...prepared, restored });
  const earlier = await record.resetCount();
  const left = await undoEarlier(deps, request, earlier);
  if (left !== undefined) throw left.error;
  const attempt: Attempt = { number: earlier + 1 };
  const { groups } = await planReset(deps, request, attempt, deadline);
  const plan_ms = Math.round(deps.clock.monotonicMs() - startedAtMs);
  if (setsOffsets(intent.strategy)) {
    const decided = groups.flatMap(({ partitions }) =>
      partitions.filter(({ target_offset }) => target_offset !== null),
    );
    const summary: PlanSummary = {
      groups: groups.length,
      partitions: decided.length,
      restored_records: finished.report.record_count,
      approval: record.keyOfApproval(attempt.number),
    };
    return { status: "planned", run: { ...run, attempt: attempt.number, plan_ms }, summary };
  }
  const reset = await setOffsets(deps, request, attempt, deadline);
  const phases = phasesOf(prepared, restored, { prepareMs: run.prepare_ms, resetMs: plan_ms });
  const report = await finishThreePhase(deps, prepared, {
    restore: finished.report,
    ...{ reset, phases },
  });
  return { status: "done", result: resultOf("done", report, record) };
}

/** Records between where the groups will stand and the ends. */
export function lagOf(partitions: OffsetPlan["groups"][number]["partitions"]): bigint {
  return partitions.reduce((sum, { lag }) => sum + (lag ?? 0n), 0n);
}
