/** Whether the manifests of a backup are the ones that were committed, for `validate` (I2). */
import type { StoredManifest } from "#core/catalog/catalog.ts";
import { readIfPresent, sha256Of } from "#core/catalog/documents.ts";
import { listedGenerations, readManifest } from "#core/catalog/manifests.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import { type BackupError, isBackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey, newestManifestKey } from "#core/storage/keys.ts";

export type ChainFindingKind =
  /** Generations before the newest have no manifest; the key is that of the last of them. */
  | "manifest_missing"
  /** A manifest is malformed, or of a newer format. */
  | "manifest_unreadable"
  /** A manifest is not the one that its successor was committed upon. */
  | "chain_broken"
  /** `manifest.json` is absent or not the newest manifest; the next commit replaces it. */
  | "copy_stale";

export interface ChainFinding {
  readonly kind: ChainFindingKind;
  /** `warning` where everything can be restored all the same. */
  readonly severity: "error" | "warning";
  /** Relative to the storage's root. */
  readonly key: string;
  readonly problem: string;
}

/** Manifests of at most a few hundred kilobytes: 8 hide an object store's latency. */
const aheadLimits = { bytesOf: () => 0, bytesMax: 0, countMax: 8 };

/**
 * Walks from the newest generation back to the first, a few manifests in memory at a time, and
 * yields what is wrong; `seen` is called with each manifest that can be read. Throws only what
 * keeps it from reading at all.
 */
export async function* verifyManifestChain(
  storage: StorageBackend,
  backupId: string,
  seen?: (stored: StoredManifest) => void,
): AsyncGenerator<ChainFinding> {
  const generations = (await listedGenerations(storage, backupId)).reverse();
  const [newest] = generations;
  if (newest === undefined) return;
  yield* verifyCopy(storage, backupId, newest);

  let expected = newest;
  let successor: StoredManifest | undefined;
  const walk = readAhead(generations, aheadLimits, (generation) =>
    readOrFinding(storage, backupId, generation),
  );
  for await (const { item: generation, result: found } of walk) {
    if (generation < expected) {
      yield missing(backupId, generation + 1, expected);
      successor = undefined;
    }
    expected = generation - 1;
    if ("kind" in found) {
      yield found;
      successor = undefined;
      continue;
    }
    const committedUpon = successor?.manifest.previous_sha256;
    if (committedUpon !== undefined && committedUpon !== found.sha256) {
      const key = inBackup(backupId, manifestKey(generation));
      const problem =
        `SHA-256 is ${found.sha256}, but generation ${generation + 1} was committed ` +
        `upon ${committedUpon}`;
      yield { kind: "chain_broken", severity: "error", key, problem };
    }
    seen?.(found);
    successor = found;
  }
  if (expected > 0) yield missing(backupId, 1, expected);
}

/** One finding for a whole hole: a stray key of a huge generation must not make millions. */
function missing(backupId: string, first: number, last: number): ChainFinding {
  const key = inBackup(backupId, manifestKey(last));
  const problem =
    first === last
      ? `generation ${last} is missing`
      : `generations ${first} to ${last} are missing, all ${last - first + 1}`;
  return { kind: "manifest_missing", severity: "error", key, problem };
}

async function readOrFinding(
  storage: StorageBackend,
  backupId: string,
  generation: number,
): Promise<StoredManifest | ChainFinding> {
  const key = inBackup(backupId, manifestKey(generation));
  try {
    return await readManifest(storage, backupId, generation);
  } catch (error) {
    if (isBackupError(error, "BackupNotFoundError")) {
      return missing(backupId, generation, generation); // Removed since it was listed.
    }
    if (isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError")) {
      const { message: problem }: BackupError = error;
      return { kind: "manifest_unreadable", severity: "error", key, problem };
    }
    throw error;
  }
}

async function* verifyCopy(
  storage: StorageBackend,
  backupId: string,
  newest: number,
): AsyncGenerator<ChainFinding> {
  const key = inBackup(backupId, newestManifestKey);
  const [copy, original] = await Promise.all([
    readIfPresent(storage, key),
    readIfPresent(storage, inBackup(backupId, manifestKey(newest))),
  ]);
  if (original === undefined) return; // Removed since it was listed: the walk reports it.
  if (copy !== undefined && sha256Of(copy) === sha256Of(original)) return;
  const problem = `${copy === undefined ? "is missing" : "is not a copy of"} generation ${newest}`;
  yield { kind: "copy_stale", severity: "warning", key, problem };
}
