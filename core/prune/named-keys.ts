/** What a backup needs: the keys that any of its manifests, or a run under way, names. */
import { z } from "zod";
import { corrupt, parseState, readIfPresent } from "#core/catalog/documents.ts";
import type { ObjectReference, RunDocument, SegmentEntry } from "#core/catalog/manifest.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import { type OpenRun, openRun } from "#core/catalog/run-state.ts";
import { KeySet } from "#core/prune/key-set.ts";
import type { Deadline } from "#core/runtime.ts";
import { checkpointTopicsFolder, parseCheckpointsFolder } from "#core/storage/checkpoint-keys.ts";
import {
  backupPlanKey,
  inBackup,
  indexKeyOf,
  openRunKey,
  runFolder,
  stateRunFolder,
  stateRunsFolder,
} from "#core/storage/keys.ts";
import type { BackupReader, ManifestHistory, NamedRun } from "#core/validate/manifest-history.ts";

/** Documents read ahead; parsed, a run list takes about four times its bytes. */
const aheadLimits = { bytesMax: 8 * 1024 * 1024, countMax: 16 };

export interface NamedKeys {
  /** Relative to the backup. */
  readonly keys: KeySet;
  /** Folders whose whole content belongs to a run that may still be committed. */
  readonly folders: readonly string[];
}

/**
 * Reads every run document and run list that any generation names, and the checkpoints of open
 * runs. Throws CorruptManifestError where one cannot be read: then nobody knows what is needed.
 */
export async function readNamedKeys(
  deps: BackupReader,
  history: ManifestHistory,
  deadline: Deadline,
): Promise<NamedKeys> {
  const keys = new KeySet();
  for (const key of history.pages.keys()) keys.add(key);
  for await (const list of listReferences(deps, history, keys)) {
    deadline.signal.throwIfAborted();
    const { partitions } = list;
    for (const { segments } of partitions) addSegments(keys, segments);
  }
  const folders: string[] = [];
  for (const run of await openRuns(deps, history)) {
    deadline.signal.throwIfAborted();
    await addCheckpointed(deps, history.backupId, run, keys);
    folders.push(stateRunFolder(run.run_id), ...(await plannedFolders(deps, history, run)));
  }
  return { keys, folders };
}

async function* listReferences(
  { catalog }: BackupReader,
  { backupId, runs }: ManifestHistory,
  keys: KeySet,
) {
  const readRun = ({ run }: NamedRun) => catalog.readRunDocument(backupId, run);
  const runLimits = { ...aheadLimits, bytesOf: ({ run }: NamedRun) => run.bytes };
  async function* references(): AsyncGenerator<ObjectReference> {
    for await (const { item, result } of readAhead(runs.values(), runLimits, readRun)) {
      addDocuments(keys, item, result);
      yield* result.lists;
    }
  }
  const listLimits = { ...aheadLimits, bytesOf: ({ bytes }: ObjectReference) => bytes };
  const readList = (reference: ObjectReference) => catalog.readRunList(backupId, reference);
  for await (const { result } of readAhead(references(), listLimits, readList)) yield result;
}

function addDocuments(keys: KeySet, { run }: NamedRun, document: RunDocument): void {
  keys.add(run.key);
  keys.add(document.cluster.key);
  for (const { key } of document.lists) keys.add(key);
}

function addSegments(keys: KeySet, segments: readonly SegmentEntry[]): void {
  for (const { key } of segments) {
    keys.add(key);
    keys.add(indexKeyOf(key));
  }
}

/** Runs that may still be committed: their manifest would be the next one. */
async function openRuns(
  { storage }: BackupReader,
  { backupId, newest }: ManifestHistory,
): Promise<OpenRun[]> {
  const runs: OpenRun[] = [];
  for await (const runId of storage.listFolders(inBackup(backupId, stateRunsFolder))) {
    const key = inBackup(backupId, openRunKey(runId));
    const body = await readIfPresent(storage, key);
    if (body === undefined) continue; // Its marker is what is removed last, when it is closed.
    const run = parseState(key, body, openRun);
    if (run.base_generation >= (newest?.manifest.generation ?? 0)) runs.push(run);
  }
  return runs;
}

async function addCheckpointed(
  { storage, catalog }: BackupReader,
  backupId: string,
  { run_id: runId }: OpenRun,
  keys: KeySet,
): Promise<void> {
  const folder = inBackup(backupId, checkpointTopicsFolder(runId));
  for await (const topic of storage.listFolders(folder)) {
    for await (const name of storage.listFolders(`${folder}${topic}/`)) {
      const found = parseCheckpointsFolder(name);
      if (found === undefined) throw corrupt(`${folder}${topic}/${name}`, "are no checkpoints");
      const at = { backupId, runId, topic, ...found };
      for (const { segments } of await catalog.checkpoints(at)) addSegments(keys, segments);
    }
  }
}

/** The run's documents: written before the commit, and named by nothing until then. */
async function plannedFolders(
  { storage }: BackupReader,
  { backupId }: ManifestHistory,
  run: OpenRun,
): Promise<string[]> {
  const key = inBackup(backupId, backupPlanKey(run.run_id));
  const body = await readIfPresent(storage, key);
  if (body === undefined) return [];
  const plan = parseState(key, body, z.object({ run_id: z.string() }));
  return [runFolder(plan.run_id)];
}
