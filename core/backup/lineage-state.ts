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

/** Groups a partition's checkpoints, which are in order of their sequence, by lineage. */
export function lineagesOf(parts: readonly Checkpoint[]): LineageParts[] {
  const byLineage = Map.groupBy(parts, (part) => part.lineage);
  return [...byLineage.values()].map((parts) => {
    const first = parts[0]!;
    const last = parts.at(-1)!;
    const segments = parts.flatMap((part) => part.segments);
    return {
      lineage: first.lineage,
      topic_id: first.topic_id,
      start_offset: first.start_offset,
      next_offset: last.next_offset,
      last_leader_epoch: last.last_leader_epoch,
      segments,
      gaps: parts.flatMap((part) => part.gaps),
      dropped: sumOfDropped(parts.map((part) => part.dropped)),
      totals: totalsOf(segments),
    };
  });
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
