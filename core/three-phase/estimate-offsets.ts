/**
 * Where positions will be in the target, as far as that can be known before the restore: by
 * counting the records below them in the run lists. No segment is read.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import type { PlannedPartition, PlannedTopic, RestorePlan } from "#core/restore/plan.ts";

export interface EstimatedOffset {
  readonly position: GroupPosition;
  readonly topic: string;
  readonly partition: number;
  /** Records that come before it in the target; undefined where only the restore can tell. */
  readonly recordsBefore: bigint | undefined;
}

/** Run lists are read one by one, only those of topics that hold positions. */
export async function estimateOffsets(
  catalog: Catalog,
  plan: RestorePlan,
  positions: readonly GroupPosition[],
): Promise<EstimatedOffset[]> {
  const estimates: EstimatedOffset[] = [];
  const byTopic = Map.groupBy(positions, ({ source_topic }) => source_topic);
  for (const topic of plan.topics) {
    const here = byTopic.get(topic.source.name);
    if (here !== undefined) estimates.push(...(await estimateTopic(catalog, plan, topic, here)));
  }
  return estimates;
}

interface Counting {
  readonly estimate: Omit<EstimatedOffset, "recordsBefore">;
  readonly of: PlannedPartition;
  records: bigint | undefined;
}

async function estimateTopic(
  catalog: Catalog,
  { stored, window }: RestorePlan,
  { source, target_topic, partitions }: PlannedTopic,
  positions: readonly GroupPosition[],
): Promise<EstimatedOffset[]> {
  const counting = positions.flatMap((position): Counting[] => {
    const of = partitions.find((one) => one.source_partition === position.source_partition);
    if (of === undefined) return [];
    const { target_partition: partition } = of;
    return [{ estimate: { position, topic: target_topic, partition }, of, records: 0n }];
  });
  const byPlace = Map.groupBy(counting, ({ of }) =>
    placeOf(of.source_partition, of.lineage.lineage),
  );
  for await (const found of segmentsOf(catalog, stored.manifest, { topic: source.name })) {
    for (const one of byPlace.get(placeOf(found.partition, found.lineage)) ?? []) {
      if (one.records === undefined) continue;
      const { lineage } = one.of;
      const before = restoredBefore(found.segment, one.estimate.position.offset, window, lineage);
      one.records = before === undefined ? undefined : one.records + before;
    }
  }
  return counting.map(({ estimate, records }) => ({ ...estimate, recordsBefore: records }));
}

function placeOf(partition: number, lineage: number): string {
  return `${partition}/${lineage}`;
}

/** Of one segment: how many of its records are restored and lie below `offset`. */
function restoredBefore(
  segment: SegmentEntry,
  offset: bigint,
  { start, end }: TimeWindow,
  lineage: { readonly start_offset: bigint },
): bigint | undefined {
  const { start_offset, end_offset } = segment;
  if (start_offset >= offset) return 0n;
  if (start !== undefined && segment.end_timestamp < start) return 0n;
  const isWithin = start === undefined && (end === undefined || segment.end_timestamp <= end);
  if (!isWithin || start_offset < lineage.start_offset) return undefined;
  const records = BigInt(segment.record_count);
  if (end_offset < offset) return records;
  const hasNoHoles = records === end_offset - start_offset + 1n;
  return hasNoHoles ? offset - start_offset : undefined;
}
