/** What one backup holds: up to when, from which offset to which, with which gaps. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type {
  DroppedBatches,
  Gap,
  LineageState,
  RunEntry,
  TopicState,
  Totals,
} from "#core/catalog/manifest.ts";
import { sumOfDropped, sumOfTotals } from "#core/catalog/totals.ts";
import { BackupError } from "#core/errors.ts";
import type { Deadline } from "#core/runtime.ts";

export interface DescribeRequest {
  readonly backup_id: string;
  /** The newest one when absent. */
  readonly generation?: number;
  /** How many of the newest runs to include. */
  readonly runs_max: number;
}

/** Totals as people ask for them; `ratio` is original by stored, absent while nothing is stored. */
export interface DescribedTotals {
  readonly segment_count: number;
  readonly batch_count: number;
  readonly record_count: number;
  /** Bytes of the record batches as Kafka stores them. */
  readonly original_bytes: number;
  readonly stored_bytes: number;
  readonly ratio?: number;
}

/** Offsets `[from_offset, to_offset)`. */
export interface OffsetRange {
  readonly from_offset: bigint;
  readonly to_offset: bigint;
}

export interface DescribedLineage {
  readonly lineage: number;
  readonly topic_id: string;
  readonly first_planned_at: bigint;
  /**
   * Restorable to any time up to this, less `gaps`, Unix milliseconds. Absent where no run has yet
   * read up to the end that it had planned.
   */
  readonly restorable_until?: bigint;
  /** All that was in the log between these offsets can be restored. Ascending. */
  readonly restorable: readonly OffsetRange[];
  readonly gaps: readonly Gap[];
  /** Largest record timestamp; -1 while there are no records. */
  readonly max_timestamp: bigint;
  readonly totals: DescribedTotals;
  readonly dropped: DroppedBatches;
}

export interface DescribedPartition {
  readonly partition: number;
  /** Oldest first; restores take the last one unless told otherwise. */
  readonly lineages: readonly DescribedLineage[];
}

export interface DescribedTopic {
  readonly name: string;
  readonly partition_count: number;
  readonly replication_factor: number;
  readonly config: Readonly<Record<string, string>>;
  /** All archived partitions can be restored to any time up to this, less gaps. */
  readonly restorable_until?: bigint;
  readonly gap_count: number;
  readonly totals: DescribedTotals;
  readonly dropped: DroppedBatches;
  readonly partitions: readonly DescribedPartition[];
}

export interface DescribedRun {
  readonly run_id: string;
  readonly started_at: bigint;
  readonly planned_at: bigint;
  readonly finished_at: bigint;
  readonly totals: DescribedTotals;
}

export interface BackupDescription {
  readonly backup_id: string;
  readonly cluster_id: string;
  readonly generation: number;
  readonly manifest_sha256: string;
  readonly created_at: bigint;
  readonly created_by: string;
  readonly first_planned_at: bigint;
  /** When the newest run read its end offsets: nothing younger is in the backup for sure. */
  readonly restorable_until: bigint;
  readonly totals: DescribedTotals;
  readonly dropped: DroppedBatches;
  readonly gap_count: number;
  readonly topics: readonly DescribedTopic[];
  readonly run_count: number;
  /** The newest ones, oldest first. */
  readonly runs: readonly DescribedRun[];
}

/** Reads at most one manifest, and pages of runs where more are asked for than it holds itself. */
export async function describeBackup(
  deps: { readonly catalog: Catalog },
  request: DescribeRequest,
  deadline: Deadline,
): Promise<BackupDescription> {
  const version = await deps.catalog.manifestVersion(request.backup_id, request);
  deadline.signal.throwIfAborted();
  if (version === undefined) {
    const message = `no committed backup has the id "${request.backup_id}"`;
    throw new BackupError("BackupNotFoundError", message);
  }
  const { summary } = version;
  const topics = version.topics.map(describeTopic);
  const lineages = version.topics.flatMap((topic) => topic.partitions.flatMap((p) => p.lineages));
  return {
    backup_id: summary.backup_id,
    cluster_id: summary.cluster_id,
    generation: summary.generation,
    manifest_sha256: version.sha256,
    created_at: version.created_at,
    created_by: version.created_by,
    first_planned_at: summary.first_planned_at,
    restorable_until: summary.last_planned_at,
    totals: describeTotals(sumOfTotals(lineages.map(({ totals }) => totals))),
    dropped: sumOfDropped(lineages.map(({ dropped }) => dropped)),
    gap_count: summary.gap_count,
    topics,
    run_count: summary.run_count,
    runs: version.runs.map(describeRun),
  };
}

function describeTopic(topic: TopicState): DescribedTopic {
  const states = topic.partitions.flatMap((partition) => partition.lineages);
  const until = topic.partitions.reduce<bigint | undefined>((least, { lineages }) => {
    const planned = lineages.at(-1)!.last_planned_at;
    return least === undefined || planned < least ? planned : least;
  }, undefined);
  return {
    name: topic.name,
    partition_count: topic.partition_count,
    replication_factor: topic.replication_factor,
    config: topic.config,
    ...restorableUntil(until),
    gap_count: states.reduce((sum, state) => sum + state.gaps.length, 0),
    totals: describeTotals(sumOfTotals(states.map((state) => state.totals))),
    dropped: sumOfDropped(states.map((state) => state.dropped)),
    partitions: topic.partitions.map(({ partition, lineages }) => ({
      partition,
      lineages: lineages.map(describeLineage),
    })),
  };
}

function describeLineage(state: LineageState): DescribedLineage {
  return {
    lineage: state.lineage,
    topic_id: state.topic_id,
    first_planned_at: state.first_planned_at,
    ...restorableUntil(state.last_planned_at),
    restorable: restorableRanges(state),
    gaps: state.gaps,
    max_timestamp: state.max_timestamp,
    totals: describeTotals(state.totals),
    dropped: state.dropped,
  };
}

/** A lineage that was never read to its planned end has -1. */
function restorableUntil(plannedAt: bigint | undefined): { restorable_until?: bigint } {
  return plannedAt === undefined || plannedAt < 0n ? {} : { restorable_until: plannedAt };
}

/** `[start_offset, next_offset)` less the gaps, in ascending order; empty ranges are left out. */
export function restorableRanges(
  state: Pick<LineageState, "start_offset" | "next_offset" | "gaps">,
): OffsetRange[] {
  const gaps = [...state.gaps].sort((a, b) => (a.from_offset < b.from_offset ? -1 : 1));
  const ranges: OffsetRange[] = [];
  let from = state.start_offset;
  for (const gap of gaps) {
    if (gap.from_offset > from) ranges.push({ from_offset: from, to_offset: gap.from_offset });
    if (gap.to_offset > from) from = gap.to_offset;
  }
  if (state.next_offset > from) ranges.push({ from_offset: from, to_offset: state.next_offset });
  return ranges;
}

function describeTotals(totals: Totals): DescribedTotals {
  const { batch_bytes, stored_bytes } = totals;
  return {
    segment_count: totals.segment_count,
    batch_count: totals.batch_count,
    record_count: totals.record_count,
    original_bytes: batch_bytes,
    stored_bytes,
    ...(stored_bytes > 0 ? { ratio: Math.round((100 * batch_bytes) / stored_bytes) / 100 } : {}),
  };
}

function describeRun(run: RunEntry): DescribedRun {
  return {
    run_id: run.run_id,
    started_at: run.started_at,
    planned_at: run.planned_at,
    finished_at: run.finished_at,
    totals: describeTotals(run.totals),
  };
}
