/** A restore in short, out of the documents that it wrote. */
import type { RestoreSummary } from "#core/catalog/restore-summary.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import type { RestoreRecord } from "#core/restore/restore-record.ts";

export function summaryOfBegun(intent: RestoreIntent): RestoreSummary {
  const { window, topics } = intent;
  return {
    restore_id: intent.restore_id,
    status: "begun",
    request_sha256: intent.request_sha256,
    generation: intent.manifest.generation,
    target_cluster_id: intent.target_cluster_id,
    ...(window.start !== undefined && { window_start: window.start }),
    ...(window.end !== undefined && { window_end: window.end }),
    topic_count: topics.length,
    partition_count: topics.reduce((sum, { partitions }) => sum + partitions.length, 0),
    begun_at: intent.created_at,
  };
}

export function summaryOfFinished(intent: RestoreIntent, report: RestoreReport): RestoreSummary {
  const { finished_at: ended_at, record_count } = report;
  return { ...summaryOfBegun(intent), status: "finished", ended_at, record_count };
}

export function summaryOfAbandoned(intent: RestoreIntent, abandonedAt: bigint): RestoreSummary {
  return { ...summaryOfBegun(intent), status: "abandoned", ended_at: abandonedAt };
}

/** Undefined where no intent was stored. Throws as reading its documents does. */
export async function readRestoreSummary(
  record: RestoreRecord,
): Promise<RestoreSummary | undefined> {
  const [intent, report, abandoned] = await Promise.all([
    record.intent(),
    record.report(),
    record.abandoned(),
  ]);
  if (intent === undefined) return undefined;
  if (report !== undefined) return summaryOfFinished(intent, report);
  return abandoned === undefined
    ? summaryOfBegun(intent)
    : summaryOfAbandoned(intent, abandoned.abandoned_at);
}
