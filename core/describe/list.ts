/** What backups there are under one location, and how fresh each one is. */
import type { Catalog, StoredManifest } from "#core/catalog/catalog.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { lineagesOf, sumOfTotals } from "#core/catalog/totals.ts";
import { type ErrorName, isBackupError } from "#core/errors.ts";
import type { Clock, Deadline } from "#core/runtime.ts";

export interface ListDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
}

export interface BackupSummary {
  readonly status: "ready";
  readonly backup_id: string;
  readonly cluster_id: string;
  /** Of the newest manifest. */
  readonly generation: number;
  readonly run_count: number;
  /** When the first and the newest run read their end offsets, Unix milliseconds. */
  readonly first_planned_at: bigint;
  readonly last_planned_at: bigint;
  /** What is younger than this would be lost with the cluster, by this machine's clock. */
  readonly age_ms: number;
  readonly topic_count: number;
  readonly partition_count: number;
  readonly record_count: number;
  /** Bytes of the record batches as Kafka stores them. */
  readonly original_bytes: number;
  readonly stored_bytes: number;
  readonly gap_count: number;
}

/** A backup of which not even the newest manifest can be read; `validate` says more. */
export interface UnreadableBackup {
  readonly status: "unreadable";
  readonly backup_id: string;
  readonly error: ErrorName;
  readonly message: string;
}

/** A backup whose first run has not been committed, or whose manifests are gone. */
export interface UncommittedBackup {
  readonly status: "uncommitted";
  readonly backup_id: string;
}

export type ListedBackup = BackupSummary | UnreadableBackup | UncommittedBackup;

/** Refuses to hide a damaged backup behind a healthy one: each id has its line, whatever it is. */
export async function* listBackups(
  deps: ListDeps,
  deadline: Deadline,
): AsyncIterable<ListedBackup> {
  for await (const backupId of deps.catalog.listBackups()) {
    deadline.signal.throwIfAborted();
    yield await summaryOf(deps, backupId);
  }
}

async function summaryOf({ catalog, clock }: ListDeps, backupId: string): Promise<ListedBackup> {
  let stored: StoredManifest | undefined;
  try {
    stored = await catalog.latestManifest(backupId);
  } catch (error) {
    if (!isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError")) throw error;
    return {
      status: "unreadable",
      backup_id: backupId,
      error: error.name,
      message: error.message,
    };
  }
  if (stored === undefined) return { status: "uncommitted", backup_id: backupId };
  return { status: "ready", ...summarize(stored.manifest, clock.nowMs()) };
}

function summarize(manifest: Manifest, nowMs: number): Omit<BackupSummary, "status"> {
  const lineages = lineagesOf(manifest);
  const totals = sumOfTotals(lineages.map(({ state }) => state.totals));
  const { first, last } = plannedBetween(manifest);
  return {
    backup_id: manifest.backup_id,
    cluster_id: manifest.cluster_id,
    generation: manifest.generation,
    run_count: runCountOf(manifest),
    first_planned_at: first,
    last_planned_at: last,
    age_ms: Math.max(0, nowMs - Number(last)),
    topic_count: manifest.topics.length,
    partition_count: manifest.topics.reduce((sum, topic) => sum + topic.partitions.length, 0),
    record_count: totals.record_count,
    original_bytes: totals.batch_bytes,
    stored_bytes: totals.stored_bytes,
    gap_count: lineages.reduce((sum, { state }) => sum + state.gaps.length, 0),
  };
}

export function runCountOf(manifest: Manifest): number {
  return manifest.run_pages.reduce((sum, page) => sum + page.run_count, manifest.runs.length);
}

/** When the first and the newest run were planned; runs without data count as well. */
export function plannedBetween(manifest: Manifest): { first: bigint; last: bigint } {
  const times = [
    ...manifest.runs.map((run) => run.planned_at),
    ...lineagesOf(manifest).flatMap(({ state }) => [state.first_planned_at, state.last_planned_at]),
  ].filter((time) => time >= 0n); // A lineage that was never read to its planned end has -1.
  if (times.length === 0) return { first: manifest.created_at, last: manifest.created_at };
  return {
    first: times.reduce((a, b) => (a < b ? a : b)),
    last: times.reduce((a, b) => (a > b ? a : b)),
  };
}
