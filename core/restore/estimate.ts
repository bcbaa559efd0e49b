/** How much a restore will move, as far as it can be known without reading a segment. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { Manifest, SegmentEntry } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import type { PlannedTopic } from "#core/restore/plan.ts";

export interface PartitionEstimate {
  readonly source_partition: number;
  readonly target_partition: number;
  readonly lineage: number;
  readonly record_count: number;
  /** Bytes of the record batches. */
  readonly batch_bytes: number;
  /** False where it is the most that it can be: all of the segments that meet the window. */
  readonly is_exact: boolean;
}

/** Without a window the manifest says it; with one, the run lists bound it from above. */
export async function estimateTopic(
  catalog: Catalog,
  manifest: Manifest,
  topic: PlannedTopic,
  window: TimeWindow,
): Promise<PartitionEstimate[]> {
  if (window.start === undefined && window.end === undefined) {
    return topic.partitions.map((partition) => ({
      source_partition: partition.source_partition,
      target_partition: partition.target_partition,
      lineage: partition.lineage.lineage,
      record_count: partition.lineage.totals.record_count,
      batch_bytes: partition.lineage.totals.batch_bytes,
      is_exact: true,
    }));
  }
  const estimates = new Map(
    topic.partitions.map(({ source_partition, target_partition, lineage }) => [
      `${source_partition}/${lineage.lineage}`,
      {
        source_partition,
        target_partition,
        lineage: lineage.lineage,
        record_count: 0,
        batch_bytes: 0,
        is_exact: true,
      },
    ]),
  );
  for await (const found of segmentsOf(catalog, manifest, { topic: topic.source.name })) {
    const estimate = estimates.get(`${found.partition}/${found.lineage}`);
    if (estimate === undefined || !mayMeet(found.segment, window)) continue;
    estimate.record_count += found.segment.record_count;
    estimate.batch_bytes += found.segment.batch_bytes;
    if (!liesWithin(found.segment, window)) estimate.is_exact = false;
  }
  return [...estimates.values()];
}

function mayMeet(segment: SegmentEntry, { start, end }: TimeWindow): boolean {
  if (start !== undefined && segment.end_timestamp < start) return false;
  const earliest = segment.start_timestamp;
  return end === undefined || earliest === undefined || earliest <= end;
}

function liesWithin(segment: SegmentEntry, { start, end }: TimeWindow): boolean {
  if (end !== undefined && segment.end_timestamp > end) return false;
  const earliest = segment.start_timestamp;
  return start === undefined || (earliest !== undefined && earliest >= start);
}
