/** Gives up an unfinished three-phase restore, so that another may have its groups. */
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import { type AbandonResult, abandonRestore } from "#core/restore/abandon.ts";
import { restoreScope } from "#core/restore/scope.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import { type KnownThreePhase, restoreWithin } from "#core/three-phase/identity.ts";
import { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";

export interface AbandonedThreePhaseResult {
  readonly backup_id: string;
  readonly three_phase_id: string;
  readonly groups: readonly string[];
  /** Where the groups stood before; absent where nothing had gone to the target yet. */
  readonly safety_snapshot_id?: string;
  /** Where they stood before the last attempt to set offsets; absent where there was none. */
  readonly reset_snapshot_id?: string;
  /** Of its restore, where that was not finished. */
  readonly restore?: AbandonResult;
}

/**
 * The groups stay as they are: rolling them back is a command of its own. Idempotent. Throws
 * BackupNotFoundError, InvalidRequestError for a finished one or one into another cluster, and
 * BackupConflictError while it runs.
 */
export async function abandonThreePhase(
  deps: ThreePhaseDeps,
  at: { readonly backup_id: string; readonly three_phase_id: string },
  deadline: Deadline,
): Promise<AbandonedThreePhaseResult> {
  const known = await knownThreePhase(deps, at);
  const { record, intent } = known;
  const unfinished = await unfinishedRestore(deps, known);
  const restore =
    unfinished === undefined ? undefined : await abandonRestore(deps, unfinished, deadline);
  const scope = restoreScope(at.backup_id, deps.cluster.clusterId);
  return withLease(deps, scope, deadline, async () => {
    refuseFinished(at.three_phase_id, (await record.report()) !== undefined);
    if ((await record.abandoned()) === undefined) {
      await record.writeAbandoned({ abandoned_at: BigInt(deps.clock.nowMs()) });
    }
    const snapshot = await record.snapshot();
    const resets = await record.resetCount();
    // Versions that took none for each attempt put groups back to the first one.
    const reset = resets === 0 ? undefined : ((await record.resetSnapshot(resets)) ?? snapshot);
    return {
      ...at,
      groups: intent.groups,
      ...(snapshot !== undefined && { safety_snapshot_id: snapshot.snapshot_id }),
      ...(reset !== undefined && { reset_snapshot_id: reset.snapshot_id }),
      ...(restore !== undefined && { restore }),
    };
  });
}

async function knownThreePhase(
  deps: ThreePhaseDeps,
  at: { readonly backup_id: string; readonly three_phase_id: string },
): Promise<KnownThreePhase> {
  const record = new ThreePhaseRecord(deps.storage, at.backup_id, at.three_phase_id);
  const intent = await record.intent();
  if (intent === undefined) {
    const message = `backup "${at.backup_id}" has no three-phase restore ${at.three_phase_id}`;
    throw new BackupError("BackupNotFoundError", message, {
      hint: "Its id is in its output, and a folder's name under three-phase/ of the backup.",
    });
  }
  if (intent.target_cluster_id !== deps.cluster.clusterId) {
    throw new BackupError(
      "InvalidRequestError",
      `three-phase restore ${at.three_phase_id} is into cluster ${intent.target_cluster_id}, but ` +
        `target is cluster ${deps.cluster.clusterId}`,
      { hint: "Correct target.bootstrap_servers." },
    );
  }
  refuseFinished(at.three_phase_id, (await record.report()) !== undefined);
  return { record, intent };
}

function refuseFinished(id: string, isFinished: boolean): void {
  if (!isFinished) return;
  throw new BackupError(
    "InvalidRequestError",
    `three-phase restore ${id} is finished: there is nothing to give up`,
    {
      hint: "`kafka-backup offset-rollback rollback` puts groups back to its snapshots.",
    },
  );
}

async function unfinishedRestore(deps: ThreePhaseDeps, known: KnownThreePhase) {
  const record = await restoreWithin(deps, known);
  if (record === undefined || (await record.report()) !== undefined) return undefined;
  return { backup_id: record.backupId, restore_id: record.restoreId };
}
