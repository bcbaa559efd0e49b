/**
 * The three phases but for what moves records, for one process (`run.ts`) and for many (`steps/`).
 * All are called with the lease of restores into the target held, and may be repeated.
 */
import { refuseMembers } from "#core/offsets/change-groups.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import type { RestoreResult } from "#core/restore/run.ts";
import {
  setsOffsets,
  type ThreePhaseDeps,
  type ThreePhaseOptions,
  type ThreePhaseRequest,
  threePhaseSha256,
} from "#core/three-phase/contract.ts";
import type {
  FirstBackup,
  SafetySnapshot,
  ThreePhaseReport,
  ThreePhaseRestored,
} from "#core/three-phase/documents.ts";
import {
  finishedThreePhase,
  type KnownThreePhase,
  restoreWithin,
  threePhaseToContinue,
} from "#core/three-phase/identity.ts";
import { nothingToResume } from "#core/three-phase/nothing-to-resume.ts";
import { beginThreePhase, refuseEarly, takeSafetySnapshot } from "#core/three-phase/prepare.ts";
import { makeReport } from "#core/three-phase/report.ts";
import type { FinishedReset } from "#core/three-phase/reset.ts";

type Options = Pick<ThreePhaseOptions, "start_new" | "resume">;

/** Which three-phase restore a request means: one that is begun or over, or a new one. */
export type MeantThreePhase =
  | { readonly status: "continued"; readonly known: KnownThreePhase }
  | {
      readonly status: "already_done";
      readonly report: ThreePhaseReport;
      readonly restore: RestoreReport;
    }
  | { readonly status: "new" };

/** Throws BackupNotFoundError where there is nothing to resume. */
export async function meantThreePhase(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  { start_new, resume }: Options,
): Promise<MeantThreePhase> {
  const { backup_id } = request.restore;
  const sha256 = threePhaseSha256(request);
  if (!start_new) {
    const known = await threePhaseToContinue(deps, backup_id, sha256);
    if (known !== undefined) return { status: "continued", known };
    const finished = await finishedThreePhase(deps, backup_id, sha256);
    if (finished !== undefined) return { status: "already_done", ...finished };
  }
  if (resume) throw await nothingToResume(deps, request);
  return { status: "new" };
}

export interface PreparedThreePhase extends KnownThreePhase {
  readonly snapshot: SafetySnapshot;
  readonly isContinued: boolean;
}

/**
 * Phase 1 of one that is not over: nothing goes to the target before the snapshot is durable (R7).
 * `first`: makes the backup before a new one, where that is wanted. Throws what `beginThreePhase`
 * does, and GroupNotEmptyError.
 */
export async function prepareThreePhase(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  meant: Exclude<MeantThreePhase, { status: "already_done" }>,
  { startNew, first }: PrepareOptions,
): Promise<PreparedThreePhase> {
  const isContinued = meant.status === "continued";
  const known = isContinued ? meant.known : await begin(deps, request, { startNew, first });
  const { intent, record } = known;
  if (isContinued && setsOffsets(intent.strategy)) {
    await refuseMembers(deps.cluster, intent.groups);
  }
  const stored = await record.snapshot();
  if (stored !== undefined) return { ...known, snapshot: stored, isContinued };
  const before = `three-phase restore ${intent.three_phase_id}`;
  const snapshot = await takeSafetySnapshot(deps, intent.groups, before);
  await record.writeSnapshot(snapshot);
  return { ...known, snapshot, isContinued };
}

export interface PrepareOptions {
  readonly startNew: boolean;
  first(): Promise<FirstBackup | undefined>;
}

async function begin(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  { startNew, first }: PrepareOptions,
): Promise<KnownThreePhase> {
  const startedAtMs = deps.clock.monotonicMs();
  await refuseEarly(deps, request);
  const backup = await first();
  const durationMs = deps.clock.monotonicMs() - startedAtMs;
  return beginThreePhase(deps, request, { startNew, backup, durationMs });
}

/** Phase 2 as far as it is done: the restore that has brought the records, or how to begin one. */
export async function restoreSoFar(
  deps: ThreePhaseDeps,
  known: KnownThreePhase,
): Promise<{ readonly finished?: RestoreResult; readonly start_new: boolean }> {
  const { intent } = known;
  const own = await restoreWithin(deps, known);
  const report = await own?.report();
  if (report === undefined) return { start_new: intent.start_new && own === undefined };
  const isOld = report.restore_id === intent.finished_restore_id;
  const finished: RestoreResult = { status: isOld ? "already_done" : "done", report, failed: [] };
  return { finished, start_new: false };
}

/** The end of phase 2. */
export async function recordRestored(
  { clock }: ThreePhaseDeps,
  { record }: KnownThreePhase,
  { status, report }: RestoreResult,
): Promise<ThreePhaseRestored> {
  const stored = await record.restored();
  if (stored !== undefined) return stored;
  const restored: ThreePhaseRestored = {
    restore_id: report.restore_id,
    restored_at: BigInt(clock.nowMs()),
    already_done: status === "already_done",
    duration_ms: report.phases.reduce((sum, { duration_ms }) => sum + duration_ms, 0),
  };
  await record.writeRestored(restored);
  return restored;
}

/** Of the attempt that ends now. */
export interface Durations {
  readonly prepareMs: number;
  readonly resetMs: number;
}

export function phasesOf(
  { intent }: KnownThreePhase,
  restored: ThreePhaseRestored,
  { prepareMs, resetMs }: Durations,
): ThreePhaseReport["phases"] {
  return [
    { phase: "prepare", duration_ms: Math.max(Math.round(prepareMs), intent.duration_ms) },
    { phase: "restore", duration_ms: restored.duration_ms },
    { phase: "reset", duration_ms: Math.round(resetMs) },
  ];
}

/** The end of phase 3: with its report a three-phase restore is finished. */
export async function finishThreePhase(
  { clock }: ThreePhaseDeps,
  { record, intent, snapshot, isContinued }: PreparedThreePhase,
  done: {
    readonly restore: RestoreReport;
    readonly reset: FinishedReset;
    readonly phases: ThreePhaseReport["phases"];
  },
): Promise<ThreePhaseReport> {
  const report = makeReport({
    ...{ intent, snapshot, ...done },
    finished_at: BigInt(clock.nowMs()),
    resumed: isContinued,
  });
  await record.writeReport(report);
  return report;
}
