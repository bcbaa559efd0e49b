/**
 * Manifests in the bucket. The truth is `manifests/{generation}.json`: creating one is the commit.
 * `manifest.json` is a copy for people and a hint where to look, never an answer: a process that
 * died between commit and copy leaves it one generation behind.
 */
import { z } from "zod";
import type { CataloguedBackup, StoredManifest } from "#core/catalog/catalog.ts";
import {
  checkedName,
  checkKeyBelow,
  checkSame,
  corrupt,
  documentBytes,
  parseDocument,
  readIfPresent,
  readReferenced,
  sha256Of,
} from "#core/catalog/documents.ts";
import {
  type Manifest,
  manifest as manifestSchema,
  type RunEntry,
  runPage,
  type TopicState,
} from "#core/catalog/manifest.ts";
import { moveRunsToPages } from "#core/catalog/run-pages.ts";
import { summaryOf } from "#core/catalog/summary.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  checkTopicName,
  inBackup,
  manifestKey,
  manifestsFolder,
  newestManifestKey,
  parseManifestKey,
  runDocumentKey,
} from "#core/storage/keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";

export async function latestManifest(
  storage: StorageBackend,
  backupId: string,
): Promise<StoredManifest | undefined> {
  const generation = await newestGeneration(storage, backupId);
  return generation === undefined ? undefined : readManifest(storage, backupId, generation);
}

/** Undefined without a manifest; the error of a newest one that cannot be read. */
export async function latestSummary(
  storage: StorageBackend,
  backupId: string,
): Promise<CataloguedBackup["summary"]> {
  try {
    const stored = await latestManifest(storage, backupId);
    return stored && summaryOf(stored.manifest);
  } catch (error) {
    if (isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError")) return error;
    throw error;
  }
}

/**
 * Asks for the generations after the copy's until one is absent: two requests in all, however
 * long the history. Without a usable copy, lists.
 */
export async function newestGeneration(
  storage: StorageBackend,
  backupId: string,
): Promise<number | undefined> {
  let generation = await generationOfCopy(storage, backupId);
  if (generation === undefined || !(await manifestExists(storage, backupId, generation))) {
    return listedGenerations(storage, backupId).then((generations) => generations.at(-1));
  }
  while (await manifestExists(storage, backupId, generation + 1)) generation++;
  return generation;
}

async function generationOfCopy(
  storage: StorageBackend,
  backupId: string,
): Promise<number | undefined> {
  const body = await readIfPresent(storage, inBackup(backupId, newestManifestKey));
  if (body === undefined) return undefined;
  try {
    return z
      .object({ generation: z.int().min(1).max(generationMax) })
      .parse(JSON.parse(body.toString())).generation;
  } catch {
    return undefined; // Only a copy: what it stands for is read and checked in its own place.
  }
}

/** The key's 8 digits, less one so that the next generation has a key too. */
const generationMax = 99_999_998;

export async function manifestExists(
  storage: StorageBackend,
  backupId: string,
  generation: number,
): Promise<boolean> {
  return (await storage.head(inBackup(backupId, manifestKey(generation)))) !== undefined;
}

/** All generations that have a manifest, ascending. */
export async function listedGenerations(
  storage: StorageBackend,
  backupId: string,
): Promise<number[]> {
  const generations: number[] = [];
  const root = inBackup(backupId, "");
  for await (const { key } of storage.list(`${root}${manifestsFolder}`)) {
    const generation = parseManifestKey(key.slice(root.length));
    if (generation !== undefined) generations.push(generation);
  }
  return generations;
}

export async function readManifest(
  storage: StorageBackend,
  backupId: string,
  generation: number,
): Promise<StoredManifest> {
  const key = inBackup(backupId, manifestKey(generation));
  const body = await readIfPresent(storage, key);
  if (body === undefined) {
    throw new BackupError(
      "BackupNotFoundError",
      `backup "${backupId}" has no generation ${generation} in ${storage.url}`,
    );
  }
  return { manifest: parseManifest(key, body, backupId, generation), sha256: sha256Of(body) };
}

function parseManifest(
  key: string,
  body: Uint8Array,
  backupId: string,
  generation: number,
): Manifest {
  const manifest = parseDocument(key, body, manifestSchema);
  checkSame(key, "backup_id", manifest.backup_id, backupId);
  checkSame(key, "generation", manifest.generation, generation);
  if ((manifest.previous_sha256 === null) !== (generation === 1)) {
    throw corrupt(key, "previous_sha256: must be null in generation 1, and there alone");
  }
  checkDistinct(
    key,
    "topics",
    manifest.topics.map((topic) => topic.name),
  );
  for (const topic of manifest.topics) checkTopic(key, topic);
  for (const [i, page] of manifest.run_pages.entries()) {
    checkKeyBelow(key, `run_pages.${i}.key`, page.key, `${manifestsFolder}runs-`);
  }
  for (const [i, run] of manifest.runs.entries()) checkRunEntry(key, `runs.${i}`, run);
  return manifest;
}

function checkTopic(key: string, topic: TopicState): void {
  const field = `topic ${JSON.stringify(topic.name)}`;
  checkedName(key, field, () => checkTopicName(topic.name));
  checkDistinct(
    key,
    field,
    topic.partitions.map(({ partition }) => partition),
  );
  for (const { partition, lineages } of topic.partitions) {
    for (const [i, lineage] of lineages.entries()) {
      const place = `${field} partition ${partition} lineage ${lineage.lineage}`;
      if (i > 0 && lineage.lineage <= lineages[i - 1]!.lineage) {
        throw corrupt(key, `${place}: lineages must ascend`);
      }
      if (lineage.next_offset < lineage.start_offset) {
        throw corrupt(key, `${place}: next_offset lies before start_offset`);
      }
    }
  }
}

function checkDistinct(key: string, field: string, values: readonly (string | number)[]): void {
  const seen = new Set<string | number>();
  for (const value of values) {
    if (seen.has(value)) throw corrupt(key, `${field}: ${JSON.stringify(value)} comes twice`);
    seen.add(value);
  }
}

function checkRunEntry(key: string, field: string, entry: RunEntry): void {
  const expected = checkedName(key, field, () => runDocumentKey(entry.run_id));
  if (entry.run.key === expected) return;
  throw corrupt(key, `${field}.run.key: is ${JSON.stringify(entry.run.key)}, not ${expected}`);
}

export async function commitManifest(
  storage: StorageBackend,
  uncommitted: Manifest,
): Promise<StoredManifest> {
  const { manifest, pages } = moveRunsToPages(uncommitted);
  const { backup_id: backupId, generation } = manifest;
  const key = inBackup(backupId, manifestKey(generation));
  const body = documentBytes(manifest);
  parseManifest(key, body, backupId, generation); // Nothing is committed that cannot be read back.

  for (const page of pages) await writeOnce(storage, inBackup(backupId, page.key), page.body);
  await writeOnce(storage, key, body);
  await replaceCopy(storage, manifest, body);
  return { manifest, sha256: sha256Of(body) };
}

/** An answer that was lost may be repeated late: the copy must not go back behind a newer one. */
async function replaceCopy(
  storage: StorageBackend,
  { backup_id: backupId, generation }: Manifest,
  body: Uint8Array,
): Promise<void> {
  if (await manifestExists(storage, backupId, generation + 1)) return;
  await storage.put(inBackup(backupId, newestManifestKey), body);
}

export async function* runsOf(
  storage: StorageBackend,
  manifest: Manifest,
): AsyncGenerator<RunEntry> {
  const { backup_id: backupId } = manifest;
  for (const reference of manifest.run_pages) {
    const key = inBackup(backupId, reference.key);
    const page = parseDocument(key, await readReferenced(storage, backupId, reference), runPage);
    checkSame(key, "backup_id", page.backup_id, backupId);
    checkSame(key, "runs", page.runs.length, reference.run_count);
    for (const [i, run] of page.runs.entries()) checkRunEntry(key, `runs.${i}`, run);
    yield* page.runs;
  }
  yield* manifest.runs;
}
