/** The step after the workers: what failed, and whether the rest is worth a manifest. */

import { oneForEach } from "#core/backup/ranges.ts";
import {
  type BackupRun,
  type CatalogDeps,
  type Judgement,
  leaseScopeOf,
  type PlannedDocument,
  plannedDocument,
} from "#core/backup/steps/contract.ts";
import { readPlan } from "#core/backup/steps/read-plan.ts";
import { throwIfWorthless } from "#core/backup/worth.ts";
import { parseState } from "#core/catalog/documents.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  circuitOpenKey,
  failedItemsFolder,
  plannedKey,
  type WorkOfRun,
} from "#core/storage/work-keys.ts";
import { throwIfCircuitOpen } from "#core/work-items/circuit.ts";
import { excerpt } from "#core/work-items/excerpt.ts";
import { allFailures, failureOf } from "#core/work-items/failures.ts";

/**
 * Reads what plan and workers left about failures. Throws the reason where nothing worked, as a
 * run in one process does, the CircuitOpenError that stopped workers, and BackupConflictError when
 * the lease is lost. Changes nothing, so that the commit after it is handed what it needs for its
 * answer, however often it is repeated.
 */
export async function judgeBackup(
  deps: CatalogDeps,
  run: BackupRun,
  deadline: Deadline,
): Promise<Judgement> {
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, async ({ signal }) => {
    // What was read is kept in checkpoints, and the rest was not even tried: the run stays open.
    await throwIfCircuitOpen(deps.storage, circuitOpenKey(run));
    const plan = await readPlan(deps.storage, run);
    const planned = await readPlanned(deps.storage, run);
    const inItems = await allFailures(deps.storage, failedItemsFolder(run));
    const failed = [...planned.failed, ...oneForEach(inItems)];
    await throwIfWorthless(deps, plan, planned.failed.length, failed.map(failureOf));
    signal.throwIfAborted();
    return {
      failed: excerpt(failed),
      hanging_transactions: excerpt(planned.hanging_transactions),
      unread_transactions: excerpt(planned.unread_transactions),
    };
  });
}

async function readPlanned(storage: StorageBackend, run: WorkOfRun): Promise<PlannedDocument> {
  const key = plannedKey(run);
  return parseState(key, await storage.get(key), plannedDocument);
}
