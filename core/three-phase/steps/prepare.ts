/** Phase 1: takes the lease, continues a three-phase restore or begins one, keeps where groups stand. */
import { keepingLease, leaseWaitMs } from "#core/catalog/with-lease.ts";
import { restoreScope } from "#core/restore/scope.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps, ThreePhaseRequest } from "#core/three-phase/contract.ts";
import type { FirstBackup } from "#core/three-phase/documents.ts";
import { meantThreePhase, prepareThreePhase, restoreSoFar } from "#core/three-phase/phases.ts";
import { refuseEarly } from "#core/three-phase/prepare.ts";
import {
  type DistributedThreePhaseResult,
  resultOf,
  type ThreePhaseRun,
} from "#core/three-phase/steps/contract.ts";
import { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";

export interface DistributedThreePhaseOptions {
  /** Another one, where the same request was done before. */
  readonly start_new: boolean;
  /** Only continue: where nothing was begun, begin nothing. */
  readonly resume: boolean;
}

/**
 * Before anything is written or locked: whether the backup that the request wants first is to be
 * made. Throws what speaks against the request from the start.
 */
export async function isBackupNeeded(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  options: DistributedThreePhaseOptions,
): Promise<boolean> {
  await refuseEarly(deps, request);
  if (request.backup_first === undefined) return false;
  const { status } = await meantThreePhase(deps, request, options);
  return status === "new";
}

export type PreparedRun =
  | {
      readonly status: "prepared";
      readonly run: ThreePhaseRun;
      /** False where the records are there. */
      readonly is_restore_needed: boolean;
      /** Whether the restore is another one of what was restored before. */
      readonly start_new: boolean;
    }
  | { readonly status: "already_done"; readonly result: DistributedThreePhaseResult };

export interface BackupBefore {
  readonly backup: FirstBackup;
  readonly durationMs: number;
}

/**
 * The lease is held when this answers `prepared`, and released else. `before`: the backup that was
 * made first; it counts where one is begun. Throws what `prepareThreePhase` and `acquireLease` do.
 */
export async function prepareRun(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  options: DistributedThreePhaseOptions,
  before: BackupBefore | undefined,
  deadline: Deadline,
): Promise<PreparedRun> {
  const { clock, catalog, cluster, storage } = deps;
  const startedAtMs = clock.monotonicMs();
  const { backup_id } = request.restore;
  const scope = restoreScope(backup_id, cluster.clusterId);
  const lease = await catalog.acquireLease(scope, leaseWaitMs, deadline.signal);
  try {
    return await keepingLease(lease, clock, deadline, async ({ signal }) => {
      const meant = await meantThreePhase(deps, request, options);
      if (meant.status === "already_done") {
        await lease.release();
        const { report } = meant;
        const record = new ThreePhaseRecord(storage, backup_id, report.three_phase_id);
        return { status: "already_done", result: resultOf("already_done", report, record) };
      }
      const prepared = await prepareThreePhase(deps, request, meant, {
        startNew: options.start_new,
        first: async () => before?.backup,
      });
      const { finished, start_new } = await restoreSoFar(deps, prepared);
      signal.throwIfAborted();
      const { three_phase_id, target_cluster_id } = prepared.intent;
      const ownMs = clock.monotonicMs() - startedAtMs;
      return {
        status: "prepared",
        run: {
          ...{ backup_id, three_phase_id, target_cluster_id },
          lease: lease.holder,
          resumed: prepared.isContinued,
          prepare_ms: Math.round(ownMs + (before?.durationMs ?? 0)),
        },
        is_restore_needed: finished === undefined,
        start_new,
      };
    });
  } catch (error) {
    await lease.release().catch(() => {});
    throw error;
  }
}
