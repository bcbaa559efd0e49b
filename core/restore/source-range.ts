/** Which offsets of a backed-up partition count. */
import type { LineageState } from "#core/catalog/manifest.ts";

/**
 * True where no record of `[first, last]` was already deleted when it was read: DeleteRecords
 * moves the log start into a batch, and a fetch still brings that batch whole.
 */
export type IsWholeRange = (first: bigint, last: bigint) => boolean;

export interface ValidOffsets {
  readonly isWhole: IsWholeRange;
  readonly has: (offset: bigint) => boolean;
}

/**
 * The offsets of a lineage, from `from` on, that a consumer of the source could have read at the
 * time of the backup.
 */
export function validOffsets(lineage: LineageState, from: bigint): ValidOffsets {
  const start = from > lineage.start_offset ? from : lineage.start_offset;
  const overlapsGap = (first: bigint, last: bigint) =>
    lineage.gaps.some((gap) => first < gap.to_offset && last >= gap.from_offset);
  return {
    isWhole: (first, last) => first >= start && !overlapsGap(first, last),
    has: (offset) => offset >= start && !overlapsGap(offset, offset),
  };
}
