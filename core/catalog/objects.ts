/** The catalogue in the bucket alone, beside the data that it describes. */
import type {
  Catalog,
  CataloguedBackup,
  CataloguedRestore,
  CataloguedSnapshot,
} from "#core/catalog/catalog.ts";
import { appendCheckpoint, checkpoints } from "#core/catalog/checkpoints.ts";
import { acquireLease, continueLease } from "#core/catalog/lease.ts";
import { manifestVersion } from "#core/catalog/manifest-version.ts";
import {
  commitManifest,
  latestManifest,
  latestSummary,
  readManifest,
  runsOf,
} from "#core/catalog/manifests.ts";
import { closeRun, openRun, writeOpenRun } from "#core/catalog/open-runs.ts";
import {
  readClusterDocument,
  readRunDocument,
  readRunList,
  writeClusterDocument,
  writeRunDocument,
  writeRunList,
} from "#core/catalog/run-documents.ts";
import { newestRestoreIds, storedSnapshots } from "#core/catalog/stored-ids.ts";
import { isBackupError } from "#core/errors.ts";
import type { Clock, Logger, NewId } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  checkBackupId,
  compareKeys,
  inBackup,
  leasesFolder,
  manifestsFolder,
  parseLeaseKey,
  parseManifestKey,
  parseSegmentKey,
  runsFolder,
  stateRunsFolder,
  topicsFolder,
} from "#core/storage/keys.ts";
import { isRunDocumentKey, isRunStateKey } from "#core/storage/run-keys.ts";

export interface ObjectCatalogDeps {
  readonly storage: StorageBackend;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Told when a lease has to be waited for. */
  readonly logger?: Logger;
}

export function openObjectCatalog(deps: ObjectCatalogDeps): Catalog {
  const { storage } = deps;
  return {
    listBackups: () => listBackups(storage),
    summaries: () => summaries(storage),
    latestManifest: (backupId) => latestManifest(storage, backupId),
    readManifest: (backupId, generation) => readManifest(storage, backupId, generation),
    manifestVersion: (backupId, request) => manifestVersion(storage, backupId, request),
    commitManifest: (manifest) => commitManifest(storage, manifest),
    runsOf: (manifest) => runsOf(storage, manifest),
    writeRunList: (list) => writeRunList(storage, list),
    writeClusterDocument: (backupId, runId, document) =>
      writeClusterDocument(storage, backupId, runId, document),
    writeRunDocument: (run) => writeRunDocument(storage, run),
    readRunDocument: (backupId, reference) => readRunDocument(storage, backupId, reference),
    readRunList: (backupId, reference) => readRunList(storage, backupId, reference),
    readClusterDocument: (backupId, reference) => readClusterDocument(storage, backupId, reference),
    openRun: (backupId) => openRun(storage, backupId),
    writeOpenRun: (backupId, run) => writeOpenRun(storage, backupId, run),
    closeRun: (backupId, runId) => closeRun(storage, backupId, runId),
    appendCheckpoint: (at, part) => appendCheckpoint(storage, at, part),
    checkpoints: (at) => checkpoints(storage, at),
    acquireLease: (scope, waitMs, signal) => acquireLease(deps, scope, waitMs, signal),
    continueLease: (scope, holder) => continueLease(storage, scope, holder),
    snapshots: () => snapshots(storage),
    restores: (backupId, max) => restores(storage, backupId, max),
    // There is nothing beside the documents that would have to be told.
    noteSnapshot: async () => {},
    forgetSnapshots: async () => {},
    noteRestore: async () => {},
  };
}

/**
 * What a backup has from its first run on. A folder's name is not enough: others keep `state/` and
 * `topics/` too, and a folder of somebody's is no backup that lacks its runs.
 */
const signs: readonly { readonly folder: string; isOurs(key: string): boolean }[] = [
  { folder: manifestsFolder, isOurs: (key) => parseManifestKey(key) !== undefined },
  { folder: leasesFolder, isOurs: (key) => parseLeaseKey(key) !== undefined },
  { folder: stateRunsFolder, isOurs: isRunStateKey },
  { folder: runsFolder, isOurs: isRunDocumentKey },
  { folder: topicsFolder, isOurs: (key) => parseSegmentKey(key) !== undefined },
];
/** Keys of each folder that are looked at: among what is ours, what is not is rare. */
const keysLookedAt = 100;

async function* listBackups(storage: StorageBackend): AsyncGenerator<string> {
  const ids: string[] = [];
  for await (const id of storage.listFolders("")) ids.push(id);
  for (const id of ids.sort(compareKeys)) {
    if (isBackupId(id) && (await holdsBackup(storage, id))) yield id;
  }
}

async function* snapshots(storage: StorageBackend): AsyncGenerator<CataloguedSnapshot> {
  for await (const { snapshot_id } of storedSnapshots(storage)) {
    yield { snapshot_id, summary: undefined };
  }
}

/** Restores' ids begin with their time. */
async function restores(
  storage: StorageBackend,
  backupId: string,
  max: number,
): Promise<CataloguedRestore[]> {
  const ids = await newestRestoreIds(storage, backupId, max);
  return ids.map((restore_id) => ({ restore_id, summary: undefined }));
}

async function* summaries(storage: StorageBackend): AsyncGenerator<CataloguedBackup> {
  for await (const backup_id of listBackups(storage)) {
    yield { backup_id, summary: await latestSummary(storage, backup_id) };
  }
}

function isBackupId(id: string): boolean {
  try {
    return checkBackupId(id) === id;
  } catch (error) {
    if (isBackupError(error, "InvalidRequestError")) return false;
    throw error;
  }
}

async function holdsBackup(storage: StorageBackend, id: string): Promise<boolean> {
  for (const { folder, isOurs } of signs) {
    let left = keysLookedAt;
    for await (const { key } of storage.list(inBackup(id, folder))) {
      if (isOurs(key.slice(inBackup(id, "").length))) return true;
      if (--left === 0) break;
    }
  }
  return false;
}
