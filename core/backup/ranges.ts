/**
 * Partitions that are read in several ranges of offsets side by side. Each range has checkpoints
 * of its own, the first one those of the partition; a commit joins them (`lineage-state.ts`).
 */
import pLimit from "p-limit";
import type { BackupPlan, PartitionWork, PlannedRange } from "#core/backup/contract.ts";
import { type LineageParts, lineagesOf } from "#core/backup/lineage-state.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import type { FailedPlace } from "#core/partition-failure.ts";

/** Ranges of a partition whose checkpoints are read at once. */
const concurrentReads = 8;

export type PlannedReading = Pick<BackupPlan, "partitions" | "ranges">;

/** What there is to read: each partition as a whole, or each of its ranges. */
export function worksOf({ partitions, ranges }: PlannedReading): PartitionWork[] {
  const further = Map.groupBy(ranges, lineageName);
  return partitions.flatMap((whole) => inRanges(whole, further.get(lineageName(whole)) ?? []));
}

function inRanges(whole: PartitionWork, further: readonly PlannedRange[]): PartitionWork[] {
  const beginnings = further.map(({ from_offset, leader_epoch, ...range }) => ({
    ...whole,
    start_offset: range.start_offset,
    last_leader_epoch: range.last_leader_epoch,
    range: { from_offset, leader_epoch },
  }));
  return [whole, ...beginnings].map((work, i) => {
    const next = further[i];
    if (next === undefined) return work;
    return { ...work, end_offset: next.from_offset, end_leader_epoch: next.leader_epoch };
  });
}

/** What a run's checkpoints hold of any partition, by lineage, its ranges joined. */
export function archivedLineages(
  catalog: Catalog,
  { backup_id, state_id, ranges }: BackupPlan,
): (at: TopicPartition) => Promise<LineageParts[]> {
  const byPartition = Map.groupBy(ranges, partitionName);
  return async ({ topic, partition }) => {
    const at = { backupId: backup_id, runId: state_id, topic, partition };
    const parts = await catalog.checkpoints(at);
    const ofPartition = byPartition.get(partitionName(at)) ?? [];
    const checkpointed = await pLimit(concurrentReads).map(
      ofPartition,
      async ({ lineage, from_offset, leader_epoch }) => {
        const range = { from_offset, leader_epoch };
        return { lineage, ...range, parts: await catalog.checkpoints({ ...at, range }) };
      },
    );
    return lineagesOf(parts, checkpointed);
  };
}

export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** Of one life of a partition. */
export function lineageName(at: TopicPartition & { readonly lineage: number }): string {
  return `${partitionName(at)}/${at.lineage}`;
}

export function placeOf({ topic, partition, range }: PartitionWork): FailedPlace {
  return { topic, partition, from_offset: range?.from_offset };
}

/** A failure in any of its ranges is the partition's; the one that stands first tells it (K7). */
export function oneForEach<T extends FailedPlace>(failed: readonly T[]): Omit<T, "from_offset">[] {
  const first = new Map<string, T>();
  for (const one of failed) {
    const name = partitionName(one);
    const other = first.get(name);
    if (other === undefined || offsetOf(one) < offsetOf(other)) first.set(name, one);
  }
  return [...first.values()].map(({ from_offset: _, ...partition }) => partition);
}

/** The first range is named by no offset. */
function offsetOf({ from_offset = -1n }: FailedPlace): bigint {
  return from_offset;
}
