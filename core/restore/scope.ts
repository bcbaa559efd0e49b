import type { LeaseScope } from "#core/catalog/catalog.ts";
import { checkBackupId } from "#core/storage/keys.ts";

/** Restores into one cluster out of one backup go one after the other. */
export function restoreScope(backupId: string, clusterId: string): LeaseScope {
  return { backupId: checkBackupId(backupId), purpose: `restore:${clusterId}` };
}
