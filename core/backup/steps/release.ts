/** Lets go of a run's lease, at its end or where it is given up: then the next run continues it. */
import { type BackupRun, type CatalogDeps, leaseScopeOf } from "#core/backup/steps/contract.ts";
import { isBackupError } from "#core/errors.ts";

/** A lease that was released or taken over before is left alone. */
export async function releaseRun({ catalog }: CatalogDeps, run: BackupRun): Promise<void> {
  try {
    const lease = await catalog.continueLease(leaseScopeOf(run), run.lease);
    await lease.release();
  } catch (error) {
    if (!isBackupError(error, "BackupConflictError")) throw error;
  }
}
