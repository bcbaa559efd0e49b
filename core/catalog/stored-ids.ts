/** What there is of snapshots and restores, by the names of their objects alone. */
import type { StorageBackend } from "#core/storage/backend.ts";
import { compareKeys, inBackup, restoresFolder, snapshotsFolder } from "#core/storage/keys.ts";
import { snapshotIdOf } from "#core/storage/snapshot-ids.ts";

export interface StoredSnapshot {
  readonly snapshot_id: string;
  readonly bytes: number;
  /** By the store's clock, Unix milliseconds. */
  readonly last_modified_at: number;
}

/** All that lie beside the backups, ascending by id, which for ours is by time. */
export async function* storedSnapshots(storage: StorageBackend): AsyncGenerator<StoredSnapshot> {
  for await (const { key, size, lastModifiedMs } of storage.list(snapshotsFolder)) {
    const snapshot_id = snapshotIdOf(key);
    if (snapshot_id === undefined) continue;
    yield { snapshot_id, bytes: size, last_modified_at: lastModifiedMs };
  }
}

/** The last `max` ids, ascending, which is by time. */
export async function newestRestoreIds(
  storage: StorageBackend,
  backupId: string,
  max: number,
): Promise<string[]> {
  if (max === 0) return [];
  const ids: string[] = [];
  for await (const id of storage.listFolders(inBackup(backupId, restoresFolder))) ids.push(id);
  return ids.sort(compareKeys).slice(-max);
}
