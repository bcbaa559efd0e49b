/** What the strategies that read the target have in common. */
import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import type { Translated } from "#core/offsets/strategies/strategy.ts";

export function targetPlace(partition: RestoredPartition): TopicPartition {
  return { topic: partition.target_topic, partition: partition.target_partition };
}

/** Ascending, none twice. */
export function distinctOffsets(positions: readonly GroupPosition[]): bigint[] {
  const offsets = new Set(positions.map(({ offset }) => offset));
  return [...offsets].sort((a, b) => (a < b ? -1 : 1));
}

/** For a position from which on no record is in the target: behind all that was restored. */
export function atRestoredEnd(
  partition: RestoredPartition,
  position: GroupPosition,
  target_offset: bigint = partition.end_offset,
): Translated {
  const isBeyond = position.offset > partition.source_end_offset;
  const reason = isBeyond ? "beyond-archive" : "restored-end";
  return { position, ...targetPlace(partition), target_offset, reason };
}
