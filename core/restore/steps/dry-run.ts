import type { RestoreDeps } from "#core/restore/contract.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import { type DryRun, type DryRunTopic, dryRunRestore } from "#core/restore/dry-run.ts";
import type { Finding } from "#core/restore/findings.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { type Excerpt, excerpt } from "#core/work-items/excerpt.ts";

export interface DryRunTopicInShort {
  readonly source_topic: string;
  readonly target_topic: string;
  /** False where the restore would make it; undefined where an error leaves that open. */
  readonly exists: boolean | undefined;
  readonly partitions: number;
  readonly record_count: number;
  readonly batch_bytes: number;
}

/** A dry run's plan in a few KB. */
export interface DryRunInShort {
  readonly status: "dry_run";
  readonly would: DryRun["would"];
  /** Null where none is begun. */
  readonly restore_id: string | null;
  readonly backup_id: string;
  readonly generation: number;
  readonly target_cluster_id: string;
  readonly window: TimeWindow;
  readonly partitions: number;
  readonly record_count: number;
  readonly batch_bytes: number;
  /** False where the numbers are the most that it can be. */
  readonly is_exact: boolean;
  readonly topics: Excerpt<DryRunTopicInShort>;
  readonly findings: Excerpt<Finding>;
}

/** Writes nothing. Throws what `dryRunRestore` throws. */
export async function dryRunInShort(
  deps: RestoreDeps,
  request: RestoreRequest,
  startNew: boolean,
): Promise<DryRunInShort> {
  return shortOf(await dryRunRestore(deps, request, startNew));
}

export function shortOf(plan: DryRun): DryRunInShort {
  const { would, backup_id, generation, target_cluster_id, window, topics } = plan;
  const sumOf = (numberOf: (topic: DryRunTopic) => number) =>
    topics.reduce((sum, topic) => sum + numberOf(topic), 0);
  return {
    status: "dry_run",
    would,
    restore_id: plan.restore_id ?? null,
    ...{ backup_id, generation, target_cluster_id, window },
    partitions: sumOf(({ partitions }) => partitions.length),
    record_count: sumOf(({ record_count }) => record_count),
    batch_bytes: sumOf(({ batch_bytes }) => batch_bytes),
    is_exact: topics.every(({ is_exact }) => is_exact),
    topics: excerpt(topics.map(inShort)),
    findings: excerpt(plan.findings),
  };
}

function inShort(topic: DryRunTopic): DryRunTopicInShort {
  const { source_topic, target_topic, target, partitions, record_count, batch_bytes } = topic;
  return {
    ...{ source_topic, target_topic },
    exists: target === undefined ? undefined : target.target_topic_id !== null,
    partitions: partitions.length,
    ...{ record_count, batch_bytes },
  };
}
