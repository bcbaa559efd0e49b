/**
 * All generations of a backup's manifest: the hash chain that vouches for each but the newest,
 * the copy `manifest.json` that vouches for the newest, and what any of them names.
 */
import type { Catalog, StoredManifest } from "#core/catalog/catalog.ts";
import { readIfPresent, sha256Of } from "#core/catalog/documents.ts";
import type { Manifest, ObjectReference } from "#core/catalog/manifest.ts";
import { type ChainFinding, verifyManifestChain } from "#core/catalog/manifest-chain.ts";
import { listedGenerations } from "#core/catalog/manifests.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey, newestManifestKey } from "#core/storage/keys.ts";
import { type Finding, type FindingCode, finding } from "#core/validate/findings.ts";

export interface BackupReader {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
}

export interface ManifestHistory {
  readonly backupId: string;
  /** The newest that can be read; undefined where there is none. */
  readonly newest: StoredManifest | undefined;
  readonly manifestCount: number;
  /**
   * Every run that any generation names, by the key of its document within the backup: runs that
   * only an older generation names belong to the backup as well.
   */
  readonly runs: ReadonlyMap<string, NamedRun>;
  /** Every run page that any generation names, by key within the backup. */
  readonly pages: ReadonlyMap<string, ObjectReference>;
  readonly findings: readonly Finding[];
}

export interface NamedRun {
  readonly run_id: string;
  readonly run: ObjectReference;
}

/** What a report tells of a history. */
export interface CheckedManifests {
  readonly manifest_count: number;
  /** Of the newest that can be read; 0 where there is none. */
  readonly generation: number;
  readonly findings: readonly Finding[];
}

export function checkedManifests(history: ManifestHistory): CheckedManifests {
  const { manifestCount: manifest_count, newest, findings } = history;
  return { manifest_count, generation: newest?.manifest.generation ?? 0, findings };
}

/**
 * Reads every manifest of a backup. Throws UnsupportedFormatVersionError where the newest is of a
 * later version, and what StorageBackend throws.
 */
export async function readManifestHistory(
  deps: BackupReader,
  backupId: string,
  deadline: Deadline,
): Promise<ManifestHistory> {
  const { storage } = deps;
  await refuseLaterVersion(deps, backupId);
  const findings: Finding[] = [];
  const runs = new Map<string, NamedRun>();
  const pages = new Map<string, ObjectReference>();
  let newest: StoredManifest | undefined;
  let manifestCount = 0;
  const seen = (stored: StoredManifest) => {
    newest ??= stored; // The walk goes from the newest to the oldest.
    manifestCount += 1;
    collectReferences(stored.manifest, runs, pages);
  };
  for await (const found of verifyManifestChain(storage, backupId, seen)) {
    deadline.signal.throwIfAborted();
    if (found.kind !== "copy_stale") findings.push(chainFinding(found));
  }
  deadline.signal.throwIfAborted();
  findings.push(...(await checkCopy(storage, backupId, newest)));
  return { backupId, newest, manifestCount, runs, pages, findings };
}

/** The same, and BackupNotFoundError where there is nothing at all. */
export async function readHistoryOfBackup(
  deps: BackupReader,
  backupId: string,
  deadline: Deadline,
): Promise<ManifestHistory> {
  const history = await readManifestHistory(deps, backupId, deadline);
  if (history.manifestCount > 0 || history.findings.length > 0) return history;
  const message = `no committed backup has the id "${backupId}" in ${deps.storage.url}`;
  throw new BackupError("BackupNotFoundError", message);
}

/** A newer backup is not a damaged one; but then its copy is as new. */
async function refuseLaterVersion(
  { storage, catalog }: BackupReader,
  backupId: string,
): Promise<void> {
  try {
    await catalog.latestManifest(backupId);
  } catch (error) {
    if (isBackupError(error, "CorruptManifestError", "BackupNotFoundError")) return;
    if (!isBackupError(error, "UnsupportedFormatVersionError")) throw error;
    const newest = (await listedGenerations(storage, backupId)).at(-1) ?? 0;
    const [original, copy] = await Promise.all([
      readIfPresent(storage, inBackup(backupId, manifestKey(newest))),
      readIfPresent(storage, inBackup(backupId, newestManifestKey)),
    ]);
    if (original !== undefined && copy?.equals(original)) throw error;
  }
}

const codeOfKind: Readonly<Record<Exclude<ChainFinding["kind"], "copy_stale">, FindingCode>> = {
  manifest_missing: "manifest_missing",
  manifest_unreadable: "manifest_damaged",
  chain_broken: "manifest_chain_broken",
};

function chainFinding({ kind, key, problem }: ChainFinding): Finding {
  if (kind === "copy_stale") throw new TypeError("the copy is judged by checkCopy");
  return finding(codeOfKind[kind], problem, { key });
}

function collectReferences(
  manifest: Manifest,
  runs: Map<string, NamedRun>,
  pages: Map<string, ObjectReference>,
): void {
  for (const page of manifest.run_pages) pages.set(page.key, page);
  for (const { run_id, run } of manifest.runs) runs.set(run.key, { run_id, run });
}

/**
 * The copy is written right after the commit, so a crash in between leaves it one generation
 * behind. A copy that is ahead means that the newest manifests are gone; one that is no generation
 * at all means that either it or the newest manifest was changed.
 */
async function checkCopy(
  storage: StorageBackend,
  backupId: string,
  newest: StoredManifest | undefined,
): Promise<Finding[]> {
  const key = inBackup(backupId, newestManifestKey);
  const copy = await readIfPresent(storage, key);
  if (copy === undefined) {
    if (newest === undefined) return [];
    return [finding("manifest_copy_missing", `${key} is missing`, { key })];
  }
  const sha256 = sha256Of(copy);
  if (sha256 === newest?.sha256) return [];
  const generation = generationIn(copy);
  const newestGeneration = newest?.manifest.generation ?? 0;
  if (generation === undefined || generation === newestGeneration) {
    const message = `${key} is not equal to the manifest of generation ${newestGeneration}`;
    return [finding("manifest_copy_differs", message, { key })];
  }
  const originalKey = inBackup(backupId, manifestKey(generation));
  const original = await readIfPresent(storage, originalKey);
  if (original === undefined) {
    const message = `${originalKey} is missing, of which ${key} is the copy`;
    return [finding("manifest_missing", message, { key: originalKey })];
  }
  if (sha256Of(original) === sha256) {
    const message = `${key} is generation ${generation}, the newest is ${newestGeneration}`;
    return [finding("manifest_copy_stale", message, { key })];
  }
  return [finding("manifest_copy_differs", `${key} is not equal to ${originalKey}`, { key })];
}

/** What the copy says it is, or undefined where that cannot be told. */
function generationIn(copy: Buffer): number | undefined {
  try {
    const { generation } = JSON.parse(copy.toString()) as { generation?: unknown };
    const isOne = Number.isSafeInteger(generation) && (generation as number) >= 1;
    return isOne && (generation as number) <= generationMax ? (generation as number) : undefined;
  } catch {
    return undefined; // Whatever it is, it is not a copy: that is the finding.
  }
}

/** Of a key's 8 digits. */
const generationMax = 99_999_999;
