/** What each step after the first begins and ends with: the run's documents and its lease. */
import { keepingLease } from "#core/catalog/with-lease.ts";
import { isBackupError } from "#core/errors.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { ThreePhaseRestored } from "#core/three-phase/documents.ts";
import { restoreWithin } from "#core/three-phase/identity.ts";
import type { PreparedThreePhase } from "#core/three-phase/phases.ts";
import { leaseScopeOf, type ThreePhaseRun } from "#core/three-phase/steps/contract.ts";
import { present, ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";

type Storage = Pick<ThreePhaseDeps, "storage">;

export async function preparedRun(
  { storage }: Storage,
  run: Pick<ThreePhaseRun, "backup_id" | "three_phase_id" | "resumed">,
): Promise<PreparedThreePhase> {
  const record = new ThreePhaseRecord(storage, run.backup_id, run.three_phase_id);
  const intent = present(await record.intent(), record, "intent");
  const snapshot = present(await record.snapshot(), record, "safety snapshot");
  return { record, intent, snapshot, isContinued: run.resumed };
}

/** A prepared run whose records are restored. */
export interface RestoredThreePhase extends PreparedThreePhase {
  readonly restored: ThreePhaseRestored;
  readonly restore: RestoreReport;
}

export async function restoredRun(
  deps: Storage,
  run: Pick<ThreePhaseRun, "backup_id" | "three_phase_id" | "resumed">,
): Promise<RestoredThreePhase> {
  const prepared = await preparedRun(deps, run);
  const { record } = prepared;
  const restored = present(await record.restored(), record, "restore");
  const report = await (await restoreWithin(deps, prepared))?.report();
  return { ...prepared, restored, restore: present(report, record, "restore's report") };
}

/** As `resetGroups` is asked for it. */
export function resetRequestOf({
  record,
  intent,
  snapshot,
  restored,
}: Omit<RestoredThreePhase, "restore">) {
  const { restore_id } = restored;
  return { record, intent, safety_snapshot_id: snapshot.snapshot_id, restore_id };
}

/**
 * Does a step's work while the run's lease is continued. Throws BackupConflictError when it is
 * lost, before the work or in it.
 */
export async function underLease<Result>(
  { catalog, clock }: Pick<ThreePhaseDeps, "catalog" | "clock">,
  run: ThreePhaseRun,
  deadline: Deadline,
  work: (deadline: Deadline) => Promise<Result>,
): Promise<Result> {
  const lease = await catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, clock, deadline, async (deadline) => {
    const result = await work(deadline);
    deadline.signal.throwIfAborted();
    return result;
  });
}

/** A lease that was released or taken over before is left alone. */
export async function releaseThreePhase(
  { catalog }: Pick<ThreePhaseDeps, "catalog">,
  run: ThreePhaseRun,
): Promise<void> {
  try {
    const lease = await catalog.continueLease(leaseScopeOf(run), run.lease);
    await lease.release();
  } catch (error) {
    if (!isBackupError(error, "BackupConflictError")) throw error;
  }
}
