/** One committed manifest as people ask for it: all of it but the oldest runs. */
import type { StoredManifest } from "#core/catalog/catalog.ts";
import type { Manifest, RunEntry } from "#core/catalog/manifest.ts";
import { latestManifest, readManifest, runsOf } from "#core/catalog/manifests.ts";
import { type ManifestSummary, summaryOf } from "#core/catalog/summary.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface ManifestVersion {
  readonly summary: ManifestSummary;
  /** Of the stored manifest. */
  readonly sha256: string;
  readonly created_at: bigint;
  readonly created_by: string;
  readonly topics: Manifest["topics"];
  /** The newest ones, oldest first. */
  readonly runs: readonly RunEntry[];
}

export interface VersionRequest {
  /** The newest one when absent. */
  readonly generation?: number;
  /** How many of the newest runs to include. */
  readonly runs_max: number;
}

export function versionOf(
  { manifest, sha256 }: StoredManifest,
  runs: readonly RunEntry[],
): ManifestVersion {
  const { created_at, created_by, topics } = manifest;
  return { summary: summaryOf(manifest), sha256, created_at, created_by, topics, runs };
}

/** As the bucket has it. */
export async function manifestVersion(
  storage: StorageBackend,
  backupId: string,
  { generation, runs_max }: VersionRequest,
): Promise<ManifestVersion | undefined> {
  const stored =
    generation === undefined
      ? await latestManifest(storage, backupId)
      : await readManifest(storage, backupId, generation);
  if (stored === undefined) return undefined;
  return versionOf(stored, await newestRuns(storage, stored.manifest, runs_max));
}

/** Reads no page of older runs than are asked for. */
async function newestRuns(
  storage: StorageBackend,
  manifest: Manifest,
  max: number,
): Promise<RunEntry[]> {
  if (max === 0) return [];
  let first = manifest.run_pages.length;
  let count = manifest.runs.length;
  while (count < max && first > 0) count += manifest.run_pages[--first]!.run_count;
  const run_pages = manifest.run_pages.slice(first);
  const runs: RunEntry[] = [];
  for await (const run of runsOf(storage, { ...manifest, run_pages })) runs.push(run);
  return runs.slice(-max);
}
