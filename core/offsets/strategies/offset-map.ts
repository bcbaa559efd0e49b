/**
 * `offset-map`: exact. A group continues at the first restored record whose source offset is not
 * below its position, wherever that is in the target; at the restored end where there is none.
 */
import type { GroupPosition } from "#core/offsets/positions.ts";
import { type RestoredPartition, sourceKey } from "#core/offsets/restored-partitions.ts";
import type { OffsetStrategyFunction, Translated } from "#core/offsets/strategies/strategy.ts";
import { translateOffset } from "#core/restore/offset-map.ts";

/**
 * Partitions one after the other, the positions of all groups in one together: what is in memory
 * is a part of one map. Throws CorruptManifestError for a map that is damaged or not whole.
 */
export const byOffsetMap: OffsetStrategyFunction = async ({ deadline }, positions, partitions) => {
  const byPartition = Map.groupBy(positions, sourceKey);
  const translated: Translated[] = [];
  for (const partition of partitions) {
    const here = byPartition.get(sourceKey(partition));
    if (here === undefined) continue;
    deadline.signal.throwIfAborted();
    translated.push(...(await translatePositions(partition, here)));
  }
  return translated;
};

/** The map is read up to the last of the positions, or to its end where one lies behind it. */
export async function translatePositions(
  partition: RestoredPartition,
  positions: readonly GroupPosition[],
): Promise<Translated[]> {
  const ascending = positions.toSorted((a, b) => compare(a.offset, b.offset));
  const translated: Translated[] = [];
  for await (const part of partition.mapParts()) {
    const last = part.at(-1);
    if (last === undefined) continue;
    const sourceEnd = last.sourceOffset + last.count;
    const targetEnd = last.targetOffset + last.count;
    while (translated.length < ascending.length) {
      const position = ascending[translated.length]!;
      const { offset } = position;
      if (offset >= sourceEnd) break;
      const target_offset = translateOffset(part, offset, targetEnd);
      // A record that was restored has its target to itself; a hole shares the next record's.
      const isRestored = translateOffset(part, offset + 1n, targetEnd) !== target_offset;
      const reason = isRestored ? "exact" : "next-restored";
      translated.push(translatedTo(partition, position, target_offset, reason));
    }
    if (translated.length === ascending.length) return translated;
  }
  const behind = ascending.slice(translated.length);
  return [...translated, ...behind.map((position) => atRestoredEnd(partition, position))];
}

function atRestoredEnd(partition: RestoredPartition, position: GroupPosition): Translated {
  const isBeyond = position.offset > partition.source_end_offset;
  const reason = isBeyond ? "beyond-archive" : "restored-end";
  return translatedTo(partition, position, partition.end_offset, reason);
}

function translatedTo(
  partition: RestoredPartition,
  position: GroupPosition,
  target_offset: bigint,
  reason: Translated["reason"],
): Translated {
  const note = noteOf(partition, position, reason);
  return {
    position,
    topic: partition.target_topic,
    partition: partition.target_partition,
    target_offset,
    reason,
    ...(note !== undefined && { note }),
  };
}

/** What the group does not get, or gets again, where that cannot be seen from the reason. */
function noteOf(
  { source_start_offset, source_end_offset, source_gaps, window }: RestoredPartition,
  { offset }: GroupPosition,
  reason: Translated["reason"],
): string | undefined {
  if (reason === "exact") return undefined;
  if (reason === "beyond-archive") return `the backup ends at offset ${source_end_offset}`;
  if (offset < source_start_offset) return `the backup begins at offset ${source_start_offset}`;
  const gap = source_gaps.find(
    ({ from_offset, to_offset }) => offset >= from_offset && offset < to_offset,
  );
  if (gap !== undefined) {
    const { from_offset, to_offset } = gap;
    return `offsets [${from_offset}, ${to_offset}) were deleted before they were backed up`;
  }
  const isWindow = window.end !== undefined && offset < source_end_offset;
  if (reason === "restored-end" && isWindow) return "no record from there on is in the window";
  return undefined;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
