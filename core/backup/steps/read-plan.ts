import { type BackupPlan, backupPlan } from "#core/backup/contract.ts";
import { checkSame, parseDocument } from "#core/catalog/documents.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { backupPlanKey, inBackup } from "#core/storage/keys.ts";
import type { WorkOfRun } from "#core/storage/work-keys.ts";

/**
 * The plan that the run's processes share. Throws CorruptManifestError where it is another's by
 * now: an attempt that lost the lease finds its successor's plan.
 */
export async function readPlan(storage: StorageBackend, run: WorkOfRun): Promise<BackupPlan> {
  const key = inBackup(run.backup_id, backupPlanKey(run.state_id));
  const plan = parseDocument(key, await storage.get(key), backupPlan);
  checkSame(key, "run_id", plan.run_id, run.run_id);
  return plan;
}
