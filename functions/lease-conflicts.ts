/** What is measured where another run holds a lease that a step asks for. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { type BackupError, isBackupError } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";
import type { Step } from "#functions/runtime.ts";

/**
 * The same catalogue, which measures each lease that it is refused, of backups and of restores.
 * Refusals now and then are no harm; that one run holds its lease for long may be.
 */
export function measuringConflicts(
  catalog: Catalog,
  measure: Step["measure"],
  clock: Pick<Clock, "nowMs">,
): Catalog {
  return {
    ...catalog,
    async acquireLease(scope, waitMs, signal) {
      try {
        return await catalog.acquireLease(scope, waitMs, signal);
      } catch (error) {
        if (isBackupError(error, "BackupConflictError")) {
          measure(scope.backupId, conflictMetrics(error, clock.nowMs()));
        }
        throw error;
      }
    },
  };
}

/** Since when it is held is not known where its object cannot be understood. */
function conflictMetrics({ details }: BackupError, nowMs: number): Parameters<Step["measure"]>[1] {
  const heldForMs = nowMs - Number(details.acquired_at);
  return {
    LeaseConflicts: [1, "Count"],
    ...(heldForMs >= 0 && { LeaseHeldFor: [heldForMs / 1_000, "Seconds"] }),
  };
}
