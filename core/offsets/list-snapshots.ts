/** The snapshots of a location in short; one that cannot be read hides no other. */
import { type ErrorName, isBackupError } from "#core/errors.ts";
import { listSnapshotIds, readSnapshot } from "#core/offsets/snapshot.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export type ListedSnapshot =
  | {
      readonly status: "sound";
      readonly snapshot_id: string;
      readonly description: string;
      readonly created_at: string;
      readonly cluster_id: string;
      readonly all_groups: boolean;
      readonly group_count: number;
      readonly position_count: number;
      readonly unread_group_count: number;
    }
  | {
      readonly status: "unreadable";
      readonly snapshot_id: string;
      readonly error: ErrorName;
      readonly message: string;
    };

/** Ascending by id, which is by time. */
export async function* listedSnapshots(storage: StorageBackend): AsyncIterable<ListedSnapshot> {
  for await (const id of listSnapshotIds(storage)) {
    try {
      const snapshot = await readSnapshot(storage, id);
      const groups = Object.values(snapshot.consumer_groups);
      const positions = groups.map(({ partitions }) => Object.keys(partitions).length);
      yield {
        status: "sound",
        snapshot_id: id,
        description: snapshot.description,
        created_at: snapshot.created_at,
        cluster_id: snapshot.cluster_id,
        all_groups: snapshot.all_groups,
        group_count: groups.length,
        position_count: positions.reduce((sum, count) => sum + count, 0),
        unread_group_count: snapshot.unread_groups.length,
      };
    } catch (error) {
      if (!isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError"))
        throw error;
      yield { status: "unreadable", snapshot_id: id, error: error.name, message: error.message };
    }
  }
}
