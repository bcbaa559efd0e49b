/**
 * A whole three-phase restore in one process, for the command line: (1) checks, a backup where it
 * is wanted, and a safety snapshot of the groups; (2) the restore; (3) the groups' offsets. The
 * lease of restores into the target cluster is held over all three. The state machine does the
 * same in the same order.
 */
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import { type RestoreResult, runRestoreUnderLease } from "#core/restore/run.ts";
import { restoreScope } from "#core/restore/scope.ts";
import type { Deadline } from "#core/runtime.ts";
import type {
  ThreePhaseDeps,
  ThreePhaseOptions,
  ThreePhaseRequest,
  ThreePhaseResult,
} from "#core/three-phase/contract.ts";
import type { ThreePhase } from "#core/three-phase/documents.ts";
import { backUpFirst } from "#core/three-phase/first-backup.ts";
import type { KnownThreePhase } from "#core/three-phase/identity.ts";
import {
  finishThreePhase,
  meantThreePhase,
  phasesOf,
  prepareThreePhase,
  recordRestored,
  restoreSoFar,
} from "#core/three-phase/phases.ts";
import { resetGroups } from "#core/three-phase/reset.ts";

/**
 * A reset that fails or is stopped is a result, with its error. Throws what `prepareThreePhase`,
 * `runRestore` and `resetGroups` throw, and BackupNotFoundError where there is nothing to resume.
 * After any of them the same request continues.
 */
export function runThreePhase(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  options: ThreePhaseOptions,
  deadline: Deadline,
): Promise<ThreePhaseResult> {
  const scope = restoreScope(request.restore.backup_id, deps.cluster.clusterId);
  return withLease(deps, scope, deadline, (_lease, deadline) =>
    runPhases(deps, request, options, deadline),
  );
}

async function runPhases(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  options: ThreePhaseOptions,
  deadline: Deadline,
): Promise<ThreePhaseResult> {
  const { clock } = deps;
  const begunAtMs = clock.monotonicMs();
  const meant = await meantThreePhase(deps, request, options);
  if (meant.status === "already_done") {
    const restore: RestoreResult = { status: "already_done", report: meant.restore, failed: [] };
    return { status: "already_done", restore, report: meant.report };
  }
  if (meant.status === "continued") tellPhase(deps, meant.known, "prepare", true, deadline);
  const prepared = await prepareThreePhase(deps, request, meant, {
    startNew: options.start_new,
    first: () => backUpFirst(deps, request, deadline),
  });
  const { record, intent, isContinued } = prepared;
  const prepareMs = clock.monotonicMs() - begunAtMs;

  tellPhase(deps, prepared, "restore", isContinued, deadline);
  const { finished, start_new } = await restoreSoFar(deps, prepared);
  const restore =
    finished ??
    (await runRestoreUnderLease(deps, request.restore, { ...options, start_new }, deadline));
  if (restore.status === "incomplete") return { status: "incomplete", restore };
  const restored = await recordRestored(deps, prepared, restore);

  tellPhase(deps, prepared, "reset", isContinued, deadline);
  const resetAtMs = clock.monotonicMs();
  const { restore_id } = restored;
  const safety_snapshot_id = prepared.snapshot.snapshot_id;
  const asked = { record, intent, safety_snapshot_id, restore_id };
  const reset = await resetGroups(deps, asked, deadline);
  const resetMs = clock.monotonicMs() - resetAtMs;
  const phases = phasesOf(prepared, restored, { prepareMs, resetMs });
  if (reset.status !== "done") {
    const { status, error, ...failed } = reset;
    return { status, restore, failed_reset: { ...failed, phases }, error };
  }
  const done = { restore: restore.report, reset, phases };
  return { status: "done", restore, report: await finishThreePhase(deps, prepared, done) };
}

/** Whoever wants to stop between two phases stops there. */
function tellPhase(
  { logger }: ThreePhaseDeps,
  { intent: { three_phase_id } }: KnownThreePhase,
  phase: ThreePhase,
  isContinued: boolean,
  deadline: Deadline,
): void {
  if (deadline.passed()) {
    const { reason } = deadline.signal;
    if (isBackupError(reason)) throw reason;
    throw new BackupError(
      "CancelledError",
      `three-phase restore ${three_phase_id} was stopped before its phase ${phase}`,
      { hint: "Run the same command again to continue it.", details: { three_phase_id } },
    );
  }
  const what = isContinued ? "continuing " : "";
  logger.info(`${what}three-phase restore ${three_phase_id}: ${phase}`, { phase });
}
