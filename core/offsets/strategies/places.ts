/** What the strategies that read the target have in common. */
import pLimit from "p-limit";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import { type RestoredPartition, sourceKey } from "#core/offsets/restored-partitions.ts";
import type { Translated } from "#core/offsets/strategies/strategy.ts";
import { concurrentPartitions } from "#core/offsets/target-records.ts";

/** Translates each partition's positions together, a few partitions at a time. */
export async function translateByPartition(
  positions: readonly GroupPosition[],
  partitions: readonly RestoredPartition[],
  translate: (
    partition: RestoredPartition,
    here: readonly GroupPosition[],
  ) => Promise<readonly Translated[]>,
): Promise<Translated[]> {
  const byPartition = Map.groupBy(positions, sourceKey);
  const translated = await pLimit(concurrentPartitions).map(partitions, async (partition) => {
    const here = byPartition.get(sourceKey(partition)) ?? [];
    return here.length === 0 ? [] : translate(partition, here);
  });
  return translated.flat();
}

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
