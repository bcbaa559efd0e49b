/** Which restores were begun out of a backup, and what became of them. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import type { RestoreSummary } from "#core/catalog/restore-summary.ts";
import { type ErrorName, isBackupError } from "#core/errors.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { readRestoreSummary } from "#core/restore/restore-summary.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface UnreadableRestore {
  readonly restore_id: string;
  readonly status: "unreadable";
  readonly error: ErrorName;
  readonly message: string;
}

export type DescribedRestore = RestoreSummary | UnreadableRestore;

/** Restores whose documents are read at once. */
const concurrentReads = 8;

/**
 * The newest `max`, oldest first. Documents are read of those alone that the catalogue has nothing
 * to say of; one that cannot be read hides no other. Throws what Catalog and StorageBackend throw.
 */
export async function describeRestores(
  { storage, catalog }: { readonly storage: StorageBackend; readonly catalog: Catalog },
  backupId: string,
  max: number,
  deadline: Deadline,
): Promise<DescribedRestore[]> {
  const known = await catalog.restores(backupId, max);
  const limits = { bytesOf: () => 0, bytesMax: 0, countMax: concurrentReads };
  const described: DescribedRestore[] = [];
  const reading = readAhead(known, limits, async ({ restore_id, summary }) => {
    return summary ?? readRestore(storage, backupId, restore_id);
  });
  for await (const { result } of reading) {
    deadline.signal.throwIfAborted();
    if (result !== undefined) described.push(result);
  }
  return described;
}

async function readRestore(
  storage: StorageBackend,
  backupId: string,
  restore_id: string,
): Promise<DescribedRestore | undefined> {
  try {
    return await readRestoreSummary(new RestoreRecord(storage, backupId, restore_id));
  } catch (error) {
    if (!isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError")) throw error;
    return { restore_id, status: "unreadable", error: error.name, message: error.message };
  }
}
