/** The snapshots that a three-phase restore which is not over may still have to go back to. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { type ThreePhaseRecord, threePhasesOf } from "#core/three-phase/three-phase-record.ts";

/**
 * By snapshot id: the three-phase restore that needs it, out of any backup of this storage. Throws
 * CorruptManifestError where a document of one cannot be read: nobody knows then what it needs.
 */
export async function neededSnapshots(
  { storage, catalog }: { readonly storage: StorageBackend; readonly catalog: Catalog },
  deadline: Deadline,
): Promise<Map<string, string>> {
  const needed = new Map<string, string>();
  for await (const backupId of catalog.listBackups()) {
    for (const record of await threePhasesOf(storage, backupId)) {
      deadline.signal.throwIfAborted();
      if (await record.isOver()) continue;
      for await (const id of snapshotsOf(record)) needed.set(id, record.id);
    }
  }
  return needed;
}

/** Of the first phase, and of each attempt to set offsets. */
async function* snapshotsOf(record: ThreePhaseRecord): AsyncGenerator<string> {
  const intent = await record.intent();
  if (intent?.offset_source.startsWith(snapshotSource)) {
    yield intent.offset_source.slice(snapshotSource.length);
  }
  const first = await record.snapshot();
  if (first !== undefined) yield first.snapshot_id;
  const attempts = await record.resetCount();
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const taken = await record.resetSnapshot(attempt);
    if (taken !== undefined) yield taken.snapshot_id;
  }
}

const snapshotSource = "snapshot:";
