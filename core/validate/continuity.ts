/**
 * Follows the offsets of one lineage from segment to segment, over all runs, by what the run lists
 * say. Holes are not loss: compaction makes them, and so do control and aborted batches.
 */
import { z } from "zod";
import {
  type LineageState,
  type SegmentEntry,
  type Totals,
  totals,
} from "#core/catalog/manifest.ts";
import { addSegment } from "#core/catalog/totals.ts";
import { int64 } from "#core/json.ts";
import { parseSegmentKey } from "#core/storage/keys.ts";
import { type Finding, type FindingPlace, finding } from "#core/validate/findings.ts";

/** How far a lineage has been followed; plain data, so that planning can go on elsewhere. */
export const lineageProgress = z.object({
  topic: z.string(),
  partition: z.int().min(0),
  lineage: z.int().min(1),
  /** Exclusive end of the newest segment; absent before the first. */
  end_offset: int64.optional(),
  totals,
});
export type LineageProgress = z.infer<typeof lineageProgress>;

/** A lineage that is being followed. */
export interface FollowedLineage {
  readonly topic: string;
  readonly partition: number;
  readonly state: LineageState;
  /** Compaction removes offsets from the topic, or may have before. */
  readonly isCompacted: boolean;
  endOffset: bigint | undefined;
  totals: Totals;
}

export function progressOf(followed: FollowedLineage): LineageProgress {
  const { topic, partition, state, endOffset, totals } = followed;
  return {
    topic,
    partition,
    lineage: state.lineage,
    ...(endOffset === undefined ? {} : { end_offset: endOffset }),
    totals,
  };
}

/** Takes the next segment of the lineage. `key` is the segment's, from the storage's root. */
export function followSegment(
  followed: FollowedLineage,
  segment: SegmentEntry,
  key: string,
): Finding[] {
  const place = { ...placeOf(followed), key, offset: segment.start_offset };
  const findings = [
    ...checkName(followed, segment, place),
    ...checkOrder(followed, segment, place),
    ...checkGaps(followed.state, segment, place),
  ];
  if (findings.length === 0) {
    const from = followed.endOffset ?? followed.state.start_offset;
    findings.push(...unexplained(followed, from, segment.start_offset));
  }
  followed.endOffset = max(segment.end_offset + 1n, followed.endOffset);
  addSegment(followed.totals, segment);
  return findings;
}

/** After the newest run: whether the segments are all that the manifest counts, and no more. */
export function finishLineage(followed: FollowedLineage): Finding[] {
  const { state } = followed;
  const place = placeOf(followed);
  const from = followed.endOffset ?? state.start_offset;
  return [
    ...unexplained(followed, from, state.next_offset),
    ...checkTotals(state.totals, followed.totals, `the manifest's totals of ${nameOf(followed)}`, {
      ...place,
    }),
    ...state.gaps.map(({ from_offset, to_offset, reason }) =>
      finding(
        "offsets_gap",
        `${nameOf(followed)}: offsets ${from_offset} to ${to_offset - 1n} were lost to ${reason}`,
        { ...place, offset: from_offset },
      ),
    ),
  ];
}

/** `recorded` and `counted` must be equal in every field. */
export function checkTotals(
  recorded: Totals,
  counted: Totals,
  what: string,
  place: FindingPlace,
): Finding[] {
  const fields = Object.keys(counted) as (keyof Totals)[];
  const wrong = fields.filter((field) => recorded[field] !== counted[field]);
  if (wrong.length === 0) return [];
  const list = wrong.map((field) => `${field} ${recorded[field]} instead of ${counted[field]}`);
  return [finding("totals_differ", `${what} say ${list.join(", ")}`, place)];
}

function checkName(
  { topic, partition }: FollowedLineage,
  segment: SegmentEntry,
  place: FindingPlace,
): Finding[] {
  const name = parseSegmentKey(segment.key);
  const isRight =
    name !== undefined &&
    name.extension !== "index" &&
    name.topic === topic &&
    name.partition === partition &&
    name.baseOffset === segment.start_offset;
  if (isRight) return [];
  const expected = `the segment of ${topic}-${partition} at offset ${segment.start_offset}`;
  return [finding("document_contradicts", `${segment.key} is not the key of ${expected}`, place)];
}

function checkOrder(
  followed: FollowedLineage,
  segment: SegmentEntry,
  place: FindingPlace,
): Finding[] {
  const { start_offset, end_offset } = segment;
  const { state, endOffset } = followed;
  const range = `segment [${start_offset}, ${end_offset}] of ${nameOf(followed)}`;
  if (end_offset < start_offset) {
    return [finding("offsets_contradict", `${range} ends before it starts`, place)];
  }
  if (endOffset !== undefined && start_offset < endOffset) {
    const message = `${range} begins before the end of the segment before it, ${endOffset - 1n}`;
    return [finding("offsets_contradict", message, place)];
  }
  // The first batch may begin before the start: records of it were deleted, the batch was not.
  if (end_offset < state.start_offset || end_offset >= state.next_offset) {
    const archived = `[${state.start_offset}, ${state.next_offset})`;
    return [finding("offsets_contradict", `${range} lies outside of ${archived}`, place)];
  }
  return [];
}

function checkGaps(state: LineageState, segment: SegmentEntry, place: FindingPlace): Finding[] {
  const inside = state.gaps.find(
    (gap) => segment.start_offset >= gap.from_offset && segment.end_offset < gap.to_offset,
  );
  if (inside === undefined) return [];
  const message = `segment lies in the gap [${inside.from_offset}, ${inside.to_offset})`;
  return [finding("offsets_contradict", message, place)];
}

/** Offsets `[from, to)` that are in no gap, where nothing that leaves holes is known. */
function unexplained(followed: FollowedLineage, from: bigint, to: bigint): Finding[] {
  const { dropped, gaps } = followed.state;
  const mayHaveHoles =
    followed.isCompacted || dropped.aborted + dropped.control + dropped.empty > 0;
  if (mayHaveHoles) return [];
  const findings: Finding[] = [];
  let position = from;
  const hole = (end: bigint) => {
    if (end <= position) return;
    const offsets = `offsets ${position} to ${end - 1n}`;
    const message = `${nameOf(followed)}: ${offsets} are neither stored nor recorded as a gap`;
    findings.push(
      finding("offsets_unexplained", message, { ...placeOf(followed), offset: position }),
    );
  };
  for (const gap of gaps) {
    if (gap.to_offset <= position || gap.from_offset >= to) continue;
    hole(gap.from_offset);
    position = gap.to_offset;
  }
  hole(to);
  return findings;
}

function placeOf({ topic, partition, state }: FollowedLineage): FindingPlace {
  return { topic, partition, lineage: state.lineage };
}

function nameOf({ topic, partition, state }: FollowedLineage): string {
  return `${topic}-${partition} lineage ${state.lineage}`;
}

function max(a: bigint, b: bigint | undefined): bigint {
  return b === undefined || a > b ? a : b;
}
