/** What backups there are under one location, and how fresh each one is. */
import type { Catalog, CataloguedBackup } from "#core/catalog/catalog.ts";
import type { ManifestSummary } from "#core/catalog/summary.ts";
import { BackupError, type ErrorName } from "#core/errors.ts";
import type { Clock, Deadline } from "#core/runtime.ts";

export interface ListDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
}

export interface BackupSummary extends ManifestSummary {
  readonly status: "ready";
  /** What is younger than this would be lost with the cluster, by this machine's clock. */
  readonly age_ms: number;
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
  for await (const { backup_id, summary } of deps.catalog.summaries()) {
    deadline.signal.throwIfAborted();
    yield listed(deps, backup_id, summary);
  }
}

function listed(
  { clock }: ListDeps,
  backup_id: string,
  summary: CataloguedBackup["summary"],
): ListedBackup {
  if (summary === undefined) return { status: "uncommitted", backup_id };
  if (summary instanceof BackupError) {
    return { status: "unreadable", backup_id, error: summary.name, message: summary.message };
  }
  const age_ms = Math.max(0, clock.nowMs() - Number(summary.last_planned_at));
  return { status: "ready", ...summary, age_ms };
}
