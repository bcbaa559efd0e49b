/**
 * A whole three-phase restore in one process, for the command line: (1) checks, a backup where it
 * is wanted, and a safety snapshot of the groups; (2) the restore; (3) the groups' offsets. The
 * lease of restores into the target cluster is held over all three.
 */
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import { refuseMembers } from "#core/offsets/change-groups.ts";
import { type RestoreResult, restoreScope, runRestoreUnderLease } from "#core/restore/run.ts";
import type { Deadline } from "#core/runtime.ts";
import {
  setsOffsets,
  type ThreePhaseDeps,
  type ThreePhaseOptions,
  type ThreePhaseRequest,
  type ThreePhaseResult,
  threePhaseSha256,
} from "#core/three-phase/contract.ts";
import type {
  SafetySnapshot,
  ThreePhase,
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
import { beginThreePhase, takeSafetySnapshot } from "#core/three-phase/prepare.ts";
import { makeReport } from "#core/three-phase/report.ts";
import { resetGroups } from "#core/three-phase/reset.ts";

/**
 * A reset that fails or is stopped is a result, with its error. Throws what `beginThreePhase`,
 * `runRestore` and `resetGroups` throw, and BackupNotFoundError where there is nothing to resume.
 * After any of them the same request continues.
 */
export function runThreePhase(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  options: ThreePhaseOptions,
  deadline: Deadline,
): Promise<ThreePhaseResult> {
  const { backup_id } = request.restore;
  const scope = restoreScope(backup_id, deps.cluster.clusterId);
  return withLease(deps, scope, deadline, async (_lease, deadline) => {
    const sha256 = threePhaseSha256(request);
    if (!options.start_new) {
      const unfinished = await threePhaseToContinue(deps, backup_id, sha256);
      if (unfinished !== undefined) {
        return new ThreePhaseRun(deps, request, options, deadline, unfinished, true).run();
      }
      const finished = await finishedThreePhase(deps, backup_id, sha256);
      if (finished !== undefined) return alreadyDone(finished);
    }
    if (options.resume) throw await nothingToResume(deps, request);
    const begunAtMs = deps.clock.monotonicMs();
    const begun = await beginThreePhase(deps, request, options.start_new, deadline);
    const run = new ThreePhaseRun(deps, request, options, deadline, begun, false);
    return run.run(begunAtMs);
  });
}

function alreadyDone({
  report,
  restore,
}: NonNullable<Awaited<ReturnType<typeof finishedThreePhase>>>): ThreePhaseResult {
  const result: RestoreResult = { status: "already_done", report: restore, failed: [] };
  return { status: "already_done", restore: result, report };
}

class ThreePhaseRun {
  readonly #deps: ThreePhaseDeps;
  readonly #request: ThreePhaseRequest;
  readonly #options: ThreePhaseOptions;
  readonly #deadline: Deadline;
  readonly #known: KnownThreePhase;
  readonly #isContinued: boolean;

  constructor(
    deps: ThreePhaseDeps,
    request: ThreePhaseRequest,
    options: ThreePhaseOptions,
    deadline: Deadline,
    known: KnownThreePhase,
    isContinued: boolean,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#options = options;
    this.#deadline = deadline;
    this.#known = known;
    this.#isContinued = isContinued;
  }

  async run(startedAtMs = this.#deps.clock.monotonicMs()): Promise<ThreePhaseResult> {
    const { record, intent } = this.#known;
    const snapshot = await this.#prepare();
    const prepareMs = this.#elapsed(startedAtMs);

    this.#begin("restore");
    const restoreResult = await this.#restore();
    if (restoreResult.status === "incomplete") {
      return { status: "incomplete", restore: restoreResult };
    }
    const restored = await this.#recordRestored(restoreResult);

    this.#begin("reset");
    const resetAtMs = this.#deps.clock.monotonicMs();
    const { restore_id } = restored;
    const request = { record, intent, safety_snapshot_id: snapshot.snapshot_id, restore_id };
    const reset = await resetGroups(this.#deps, request, this.#deadline);
    const phases: ThreePhaseReport["phases"] = [
      { phase: "prepare", duration_ms: Math.max(prepareMs, intent.duration_ms) },
      { phase: "restore", duration_ms: restored.duration_ms },
      { phase: "reset", duration_ms: this.#elapsed(resetAtMs) },
    ];
    if (reset.status !== "done") {
      const { status, error, ...failed } = reset;
      return { status, restore: restoreResult, failed_reset: { ...failed, phases }, error };
    }
    const report = makeReport({
      intent,
      snapshot,
      restore: restoreResult.report,
      reset,
      finished_at: BigInt(this.#deps.clock.nowMs()),
      resumed: this.#isContinued,
      phases,
    });
    await record.writeReport(report);
    return { status: "done", restore: restoreResult, report };
  }

  #elapsed(sinceMs: number): number {
    return Math.round(this.#deps.clock.monotonicMs() - sinceMs);
  }

  /** Whoever wants to stop between two phases stops there. */
  #begin(phase: ThreePhase): void {
    const { three_phase_id } = this.#known.intent;
    if (this.#deadline.passed()) {
      const { reason } = this.#deadline.signal;
      if (isBackupError(reason)) throw reason;
      throw new BackupError(
        "CancelledError",
        `three-phase restore ${three_phase_id} was stopped before its phase ${phase}`,
        { hint: "Run the same command again to continue it.", details: { three_phase_id } },
      );
    }
    const what = this.#isContinued ? "continuing " : "";
    this.#deps.logger.info(`${what}three-phase restore ${three_phase_id}: ${phase}`, { phase });
  }

  /** The rest of phase 1: nothing goes to the target before the snapshot is durable (R7). */
  async #prepare(): Promise<SafetySnapshot> {
    const { record, intent } = this.#known;
    this.#begin("prepare");
    if (this.#isContinued && setsOffsets(intent.strategy)) {
      await refuseMembers(this.#deps.cluster, intent.groups);
    }
    const stored = await record.snapshot();
    if (stored !== undefined) return stored;
    const snapshot = await takeSafetySnapshot(
      this.#deps,
      intent.groups,
      `three-phase restore ${intent.three_phase_id}`,
    );
    await record.writeSnapshot(snapshot);
    return snapshot;
  }

  async #restore(): Promise<RestoreResult> {
    const { intent } = this.#known;
    const own = await restoreWithin(this.#deps, this.#known);
    const report = await own?.report();
    if (report !== undefined) {
      const isOld = report.restore_id === intent.finished_restore_id;
      return { status: isOld ? "already_done" : "done", report, failed: [] };
    }
    const start_new = intent.start_new && own === undefined;
    const options = { ...this.#options, start_new };
    return runRestoreUnderLease(this.#deps, this.#request.restore, options, this.#deadline);
  }

  async #recordRestored({ status, report }: RestoreResult): Promise<ThreePhaseRestored> {
    const { record } = this.#known;
    const stored = await record.restored();
    if (stored !== undefined) return stored;
    const restored: ThreePhaseRestored = {
      restore_id: report.restore_id,
      restored_at: BigInt(this.#deps.clock.nowMs()),
      already_done: status === "already_done",
      duration_ms: report.phases.reduce((sum, { duration_ms }) => sum + duration_ms, 0),
    };
    await record.writeRestored(restored);
    return restored;
  }
}
