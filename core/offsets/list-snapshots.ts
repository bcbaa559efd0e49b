/** The snapshots of a location in short; one that cannot be read hides no other. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import type { SnapshotSummary } from "#core/catalog/snapshot-summary.ts";
import { type ErrorName, isBackupError } from "#core/errors.ts";
import { readSnapshot, snapshotFacts } from "#core/offsets/snapshot.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export type ListedSnapshot =
  | ({ readonly status: "sound" } & Readonly<Omit<SnapshotSummary, "bytes">>)
  | {
      readonly status: "unreadable";
      readonly snapshot_id: string;
      readonly error: ErrorName;
      readonly message: string;
    };

/** Documents that are read at once, where nobody knows what they say. */
const concurrentReads = 8;

/** Ascending by id, which is by time. */
export async function* listedSnapshots({
  storage,
  catalog,
}: {
  readonly storage: StorageBackend;
  readonly catalog: Pick<Catalog, "snapshots">;
}): AsyncGenerator<ListedSnapshot> {
  const limits = { bytesOf: () => 0, bytesMax: 0, countMax: concurrentReads };
  const reading = readAhead(catalog.snapshots(), limits, async ({ snapshot_id, summary }) => {
    if (summary === undefined) return readListed(storage, snapshot_id);
    const { bytes: _, ...facts } = summary;
    return { status: "sound", ...facts } as const;
  });
  for await (const { result } of reading) if (result !== undefined) yield result;
}

/** Undefined for one that was removed meanwhile. */
async function readListed(
  storage: StorageBackend,
  id: string,
): Promise<ListedSnapshot | undefined> {
  try {
    return { status: "sound", ...snapshotFacts(await readSnapshot(storage, id)) };
  } catch (error) {
    if (isBackupError(error, "SnapshotNotFoundError")) return undefined;
    if (!isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError")) throw error;
    return { status: "unreadable", snapshot_id: id, error: error.name, message: error.message };
  }
}
