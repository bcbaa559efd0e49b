/** Lets go of a restore's lease, at its end or where it is given up: then the next run continues. */
import { isBackupError } from "#core/errors.ts";
import { type CatalogDeps, leaseScopeOf, type RestoreRun } from "#core/restore/steps/contract.ts";

/**
 * A lease that is lent is its owner's to release; one that was released or taken over before is
 * left alone.
 */
export async function releaseRestore({ catalog }: CatalogDeps, run: RestoreRun): Promise<void> {
  if (run.lease_is_lent) return;
  try {
    const lease = await catalog.continueLease(leaseScopeOf(run), run.lease);
    await lease.release();
  } catch (error) {
    if (!isBackupError(error, "BackupConflictError")) throw error;
  }
}
