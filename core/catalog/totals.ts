import type {
  DroppedBatches,
  LineageState,
  Manifest,
  SegmentEntry,
  Totals,
} from "#core/catalog/manifest.ts";

export interface LineageOfPartition {
  readonly topic: string;
  readonly partition: number;
  readonly state: LineageState;
}

/** All lineages of all partitions, in the manifest's order. */
export function lineagesOf(manifest: Manifest): LineageOfPartition[] {
  return manifest.topics.flatMap((topic) =>
    topic.partitions.flatMap(({ partition, lineages }) =>
      lineages.map((state) => ({ topic: topic.name, partition, state })),
    ),
  );
}

export const noTotals: Readonly<Totals> = {
  segment_count: 0,
  batch_count: 0,
  record_count: 0,
  batch_bytes: 0,
  stored_bytes: 0,
};

export function addTotals(a: Totals, b: Totals): Totals {
  return {
    segment_count: a.segment_count + b.segment_count,
    batch_count: a.batch_count + b.batch_count,
    record_count: a.record_count + b.record_count,
    batch_bytes: a.batch_bytes + b.batch_bytes,
    stored_bytes: a.stored_bytes + b.stored_bytes,
  };
}

export function sumOfTotals(totals: readonly Totals[]): Totals {
  return totals.reduce(addTotals, noTotals);
}

/** Changes `sum`: there may be a million segments. */
export function addSegment(sum: Totals, segment: SegmentEntry): void {
  sum.segment_count += 1;
  sum.batch_count += segment.batch_count;
  sum.record_count += segment.record_count;
  sum.batch_bytes += segment.batch_bytes;
  sum.stored_bytes += segment.stored_bytes;
}

export function totalsOf(segments: readonly SegmentEntry[]): Totals {
  const sum = { ...noTotals };
  for (const segment of segments) addSegment(sum, segment);
  return sum;
}

export const noneDropped: DroppedBatches = { aborted: 0, control: 0, empty: 0 };

export function addDropped(a: DroppedBatches, b: DroppedBatches): DroppedBatches {
  return {
    aborted: a.aborted + b.aborted,
    control: a.control + b.control,
    empty: a.empty + b.empty,
  };
}

export function sumOfDropped(dropped: readonly DroppedBatches[]): DroppedBatches {
  return dropped.reduce(addDropped, noneDropped);
}
