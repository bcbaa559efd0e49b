/** Whether the manifests of a backup are the ones that were committed, for `validate` (I2). */
import type { StoredManifest } from "#core/catalog/catalog.ts";
import { readIfPresent, sha256Of } from "#core/catalog/documents.ts";
import { listedGenerations, readManifest } from "#core/catalog/manifests.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import { type BackupError, isBackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey, newestManifestKey } from "#core/storage/keys.ts";

export type ChainFindingKind =
  /** A generation between the first and the newest has no manifest. */
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
  const newest = (await listedGenerations(storage, backupId)).at(-1);
  if (newest === undefined) return;
  yield* verifyCopy(storage, backupId, newest);

  let successor: StoredManifest | undefined;
  const generations = Array.from({ length: newest }, (_, i) => newest - i);
  const walk = readAhead(generations, aheadLimits, (generation) =>
    readOrFinding(storage, backupId, generation),
  );
  for await (const { item: generation, result: found } of walk) {
    const key = inBackup(backupId, manifestKey(generation));
    if ("kind" in found) {
      yield found;
      successor = undefined;
      continue;
    }
    const expected = successor?.manifest.previous_sha256;
    if (expected !== undefined && expected !== found.sha256) {
      const problem =
        `SHA-256 is ${found.sha256}, but generation ${generation + 1} was committed ` +
        `upon ${expected}`;
      yield { kind: "chain_broken", severity: "error", key, problem };
    }
    seen?.(found);
    successor = found;
  }
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
      const problem = `generation ${generation} is missing`;
      return { kind: "manifest_missing", severity: "error", key, problem };
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
