/**
 * Runs that are under way or were interrupted: `state/runs/{run_id}/`, with `run.json` as the
 * marker. A run's folder begins with the marker and ends with it: opening creates it before
 * anything else, closing removes it after all else. So whatever is interrupted,
 *
 * - a folder with a marker whose `base_generation` is the newest manifest's is a run to continue,
 *   and all its checkpoints are there;
 * - one whose `base_generation` is older has been committed, or can never be (the manifest it
 *   would create exists): what is left of it only waits to be closed, again if need be;
 * - one without a marker holds what a paused worker wrote after its run was closed. No run is
 *   ever opened there, and the next close removes it.
 *
 * The lease keeps runs apart. A process that lost the lease between looking and opening can
 * leave a second run on the same base: either of them may be continued, for a manifest names the
 * checkpoints of one and `createIfAbsent` lets one commit; all observers choose the same.
 */
import {
  checkedName,
  checkSame,
  documentBytes,
  parseState,
  readIfPresent,
} from "#core/catalog/documents.ts";
import { type OpenRun, openRun as openRunSchema } from "#core/catalog/run-state.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  compareKeys,
  inBackup,
  openRunKey,
  stateRunFolder,
  stateRunsFolder,
} from "#core/storage/keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";

/** Keys of one delete: the most that S3's DeleteObjects takes. */
const keysPerDelete = 1000;

interface StateFolder {
  readonly runId: string;
  /** Undefined where the marker is gone. */
  readonly run: OpenRun | undefined;
}

/** The open run on the newest base; of several, the one whose id is last in key order. */
export async function openRun(
  storage: StorageBackend,
  backupId: string,
): Promise<OpenRun | undefined> {
  const runs = (await stateFolders(storage, backupId)).flatMap(({ run }) => run ?? []);
  return runs
    .sort((a, b) => a.base_generation - b.base_generation || compareKeys(a.run_id, b.run_id))
    .at(-1);
}

export async function writeOpenRun(
  storage: StorageBackend,
  backupId: string,
  run: OpenRun,
): Promise<void> {
  await writeOnce(storage, inBackup(backupId, openRunKey(run.run_id)), documentBytes(run));
}

/** Closes the run, and with it what older ones and paused workers left behind. */
export async function closeRun(
  storage: StorageBackend,
  backupId: string,
  runId: string,
): Promise<void> {
  const folders = await stateFolders(storage, backupId);
  const base = folders.find((folder) => folder.runId === runId)?.run?.base_generation ?? 0;
  for (const folder of folders) {
    const isLeftOver = folder.run === undefined || folder.run.base_generation < base;
    if (isLeftOver || folder.runId === runId) await removeState(storage, backupId, folder.runId);
  }
}

async function stateFolders(storage: StorageBackend, backupId: string): Promise<StateFolder[]> {
  const parent = inBackup(backupId, stateRunsFolder);
  const folders: StateFolder[] = [];
  for await (const runId of storage.listFolders(parent)) {
    const key = inBackup(
      backupId,
      checkedName(parent, "a folder", () => openRunKey(runId)),
    );
    const body = await readIfPresent(storage, key);
    const run = body === undefined ? undefined : parseState(key, body, openRunSchema);
    if (run !== undefined) checkSame(key, "run_id", run.run_id, runId);
    folders.push({ runId, run });
  }
  return folders;
}

async function removeState(
  storage: StorageBackend,
  backupId: string,
  runId: string,
): Promise<void> {
  const marker = inBackup(backupId, openRunKey(runId));
  const folder = inBackup(backupId, stateRunFolder(runId));
  for (;;) {
    const keys = await firstKeys(storage, folder, marker);
    if (keys.length === 0) break;
    await storage.delete(keys);
  }
  await storage.delete([marker]);
}

async function firstKeys(
  storage: StorageBackend,
  folder: string,
  except: string,
): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list(folder)) {
    if (key !== except) keys.push(key);
    if (keys.length === keysPerDelete) break;
  }
  return keys;
}
