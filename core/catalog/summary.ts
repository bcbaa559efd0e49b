/** What a list of backups says of one, out of its newest manifest. */
import { z } from "zod";
import type { Manifest } from "#core/catalog/manifest.ts";
import { lineagesOf, sumOfTotals } from "#core/catalog/totals.ts";
import { int64 } from "#core/json.ts";

const count = z.int().min(0);

export const manifestSummary = z.object({
  backup_id: z.string(),
  cluster_id: z.string(),
  /** Of the newest manifest. */
  generation: z.int().min(1),
  run_count: count,
  /** When the first and the newest run read their end offsets, Unix milliseconds. */
  first_planned_at: int64,
  last_planned_at: int64,
  topic_count: count,
  partition_count: count,
  record_count: count,
  /** Bytes of the record batches as Kafka stores them. */
  original_bytes: count,
  stored_bytes: count,
  gap_count: count,
});
export type ManifestSummary = z.infer<typeof manifestSummary>;

export function summaryOf(manifest: Manifest): ManifestSummary {
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
function plannedBetween(manifest: Manifest): { first: bigint; last: bigint } {
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
