/** How a run's checkpoints add up to what the manifest says of a partition. */
import type { PartitionWork } from "#core/backup/contract.ts";
import type {
  DroppedBatches,
  Gap,
  LineageState,
  SegmentEntry,
  Totals,
} from "#core/catalog/manifest.ts";
import type { Checkpoint } from "#core/catalog/run-state.ts";
import {
  addDropped,
  addTotals,
  noneDropped,
  noTotals,
  sumOfDropped,
  totalsOf,
} from "#core/catalog/totals.ts";
import type { RangeName } from "#core/storage/checkpoint-keys.ts";

/** What one run added to one lineage of a partition. */
export interface LineageParts {
  readonly lineage: number;
  readonly topic_id: string;
  readonly start_offset: bigint;
  readonly next_offset: bigint;
  readonly last_leader_epoch: number;
  readonly segments: readonly SegmentEntry[];
  readonly gaps: readonly Gap[];
  readonly dropped: DroppedBatches;
  readonly totals: Totals;
}

/** A range of a partition with its checkpoints, which are in order of their sequence. */
export interface CheckpointedRange extends RangeName {
  readonly lineage: number;
  readonly parts: readonly Checkpoint[];
}

/**
 * What a run's checkpoints hold of a partition, by lineage. `parts` are the partition's own, of
 * its first range; `ranges` the others, ascending.
 */
export function lineagesOf(
  parts: readonly Checkpoint[],
  ranges: readonly CheckpointedRange[] = [],
): LineageParts[] {
  const byLineage = Map.groupBy(parts, (part) => part.lineage);
  return [...byLineage].map(([lineage, ofFirst]) => {
    const further = ranges.filter((range) => range.lineage === lineage);
    const joined = joinRanges(ofFirst, further);
    const first = joined[0]!;
    const last = joined.at(-1)!;
    const segments = joined.flatMap((part) => part.segments);
    return {
      lineage,
      topic_id: first.topic_id,
      start_offset: first.start_offset,
      next_offset: last.next_offset,
      last_leader_epoch: last.last_leader_epoch,
      segments,
      gaps: joined.flatMap((part) => part.gaps),
      dropped: sumOfDropped(joined.map((part) => part.dropped)),
      totals: totalsOf(segments),
    };
  });
}

/**
 * The ranges as one, up to the first that is not whole: what lies behind a hole does not count. A
 * range follows another when that one has come to its beginning, in the same log: there are no
 * batches of a later leader epoch before its first one.
 */
function joinRanges(
  parts: readonly Checkpoint[],
  ranges: readonly CheckpointedRange[],
): Checkpoint[] {
  const joined = [...parts];
  for (const { lineage, from_offset, leader_epoch, parts } of ranges) {
    const last = joined.at(-1)!;
    const follows = last.next_offset >= from_offset && last.last_leader_epoch <= leader_epoch;
    if (!follows) break;
    joined.push(...parts.filter((part) => part.lineage === lineage));
  }
  return joined;
}

/**
 * The lineages of a partition after a run. `work` is the run's plan for it, undefined where the
 * run only commits what an earlier attempt had read; a lineage that was planned and had nothing to
 * read is there all the same.
 */
export function withRun(
  before: readonly LineageState[],
  added: readonly LineageParts[],
  run: { readonly work: PartitionWork | undefined; readonly plannedAt: bigint },
): LineageState[] {
  const states = new Map(before.map((state) => [state.lineage, state]));
  for (const parts of added) {
    const state = states.get(parts.lineage) ?? newLineage(parts, run.plannedAt);
    states.set(parts.lineage, withParts(state, parts));
  }
  const { work } = run;
  if (work !== undefined) {
    const state = states.get(work.lineage) ?? newLineage(work, run.plannedAt);
    const isRead = state.next_offset >= work.end_offset;
    states.set(work.lineage, isRead ? { ...state, last_planned_at: run.plannedAt } : state);
  }
  return [...states.values()].sort((a, b) => a.lineage - b.lineage);
}

function newLineage(
  from: { lineage: number; topic_id: string; start_offset: bigint },
  plannedAt: bigint,
): LineageState {
  return {
    lineage: from.lineage,
    topic_id: from.topic_id,
    first_planned_at: plannedAt,
    last_planned_at: -1n,
    start_offset: from.start_offset,
    next_offset: from.start_offset,
    last_leader_epoch: -1,
    max_timestamp: -1n,
    totals: noTotals,
    dropped: noneDropped,
    gaps: [],
  };
}

function withParts(state: LineageState, parts: LineageParts): LineageState {
  return {
    ...state,
    next_offset: parts.next_offset,
    last_leader_epoch: parts.last_leader_epoch,
    max_timestamp: parts.segments.reduce(
      (max, { end_timestamp }) => (end_timestamp > max ? end_timestamp : max),
      state.max_timestamp,
    ),
    totals: addTotals(state.totals, parts.totals),
    dropped: addDropped(state.dropped, parts.dropped),
    gaps: [...state.gaps, ...mergeGaps(parts.gaps)],
  };
}

/** Gaps that touch become one; they come in order of their offsets. */
function mergeGaps(gaps: readonly Gap[]): Gap[] {
  const merged: Gap[] = [];
  for (const gap of gaps) {
    const last = merged.at(-1);
    if (last?.to_offset === gap.from_offset && last.reason === gap.reason) {
      merged[merged.length - 1] = { ...last, to_offset: gap.to_offset };
    } else merged.push(gap);
  }
  return merged;
}
