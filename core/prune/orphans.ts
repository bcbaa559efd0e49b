/** Objects of a backup that nothing names: what interrupted attempts leave behind (C3). */
import type { NamedKeys } from "#core/prune/named-keys.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  inBackup,
  leasesFolder,
  manifestsFolder,
  newestManifestKey,
  parseManifestKey,
  parseSegmentKey,
  restoresFolder,
  runsFolder,
  stateRunsFolder,
  topicsFolder,
} from "#core/storage/keys.ts";
import { isRunDocumentKey, isRunStateKey } from "#core/storage/run-keys.ts";
import { threePhaseFolder } from "#core/storage/three-phase-keys.ts";
import { stateValidationsFolder, validationReportsFolder } from "#core/storage/validation-keys.ts";

/**
 * `segment`, `index`: stored, but the attempt ended before its checkpoint. `run_document`: written,
 * but the run was never committed. `run_state`: of a run that was committed or given up.
 * `run_page`: written by a commit that did not happen. `foreign`: nothing of ours has such a key.
 */
export type OrphanKind =
  | "segment"
  | "index"
  | "run_document"
  | "run_state"
  | "run_page"
  | "foreign";

export interface Orphan {
  /** From the storage's root. */
  readonly key: string;
  readonly kind: OrphanKind;
  readonly bytes: number;
  /** By the object store's clock, Unix milliseconds. */
  readonly last_modified_at: number;
}

/** Walks through all objects of the backup and yields those that `named` does not hold. */
export async function* findOrphans(
  storage: StorageBackend,
  backupId: string,
  { keys, folders }: NamedKeys,
  deadline: Deadline,
): AsyncGenerator<Orphan> {
  const root = inBackup(backupId, "");
  for await (const { key, size, lastModifiedMs } of storage.list(root)) {
    deadline.signal.throwIfAborted();
    const keyInBackup = key.slice(root.length);
    const kind = orphanKind(keyInBackup);
    if (kind === undefined || keys.has(keyInBackup)) continue;
    if (folders.some((folder) => keyInBackup.startsWith(folder))) continue;
    yield { key, kind, bytes: size, last_modified_at: lastModifiedMs };
  }
}

const recordFolders = [
  leasesFolder,
  restoresFolder,
  stateValidationsFolder,
  threePhaseFolder,
  validationReportsFolder,
];
const runPagePattern = /^manifests\/runs-\d{8}-\d{8}\.json$/;

/**
 * What the object would be if nothing named it; undefined for what needs no name: manifests are
 * the ones that name, leases and validations sweep their own objects and rely on the others, and
 * the documents of restores and reports of validations are the record of what was done.
 */
function orphanKind(key: string): OrphanKind | undefined {
  if (key === newestManifestKey || parseManifestKey(key) !== undefined) return undefined;
  if (recordFolders.some((folder) => key.startsWith(folder))) return undefined;
  if (key.startsWith(topicsFolder)) {
    const name = parseSegmentKey(key);
    if (name === undefined) return "foreign";
    return name.extension === "index" ? "index" : "segment";
  }
  if (key.startsWith(runsFolder)) return isRunDocumentKey(key) ? "run_document" : "foreign";
  if (key.startsWith(stateRunsFolder)) return isRunStateKey(key) ? "run_state" : "foreign";
  if (key.startsWith(manifestsFolder)) return runPagePattern.test(key) ? "run_page" : "foreign";
  return "foreign";
}
