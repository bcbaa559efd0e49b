/**
 * Packs the partitions of a plan, or their ranges, into work items. How many records a partition has is estimated
 * by its offsets: exact but for transactions, compaction and retention.
 */
import { z } from "zod";
import { type PartitionWork, partitionWork } from "#core/backup/contract.ts";
import { packByCost } from "#core/work-items/pack.ts";

export const workItem = z.object({
  /** From 0; names what the item leaves in the bucket. */
  number: z.int().min(0),
  partitions: z.array(partitionWork).min(1),
});
export type WorkItem = z.infer<typeof workItem>;

/** Of a partition's JSON without the topic's name: names of fields, and 64-bit numbers in quotes. */
const workBytesMax = 360;

/**
 * What a partition costs however little it holds, in offsets: some 10 requests for its segment,
 * index and checkpoint, 0.3 s at 150,000 records a second.
 */
const partitionCost = 50_000n;
/** 5 partitions of nothing, 1.5 s. */
const itemCostMin = 5n * partitionCost;

/**
 * Work items for up to `workers` at a time, those that take longest first. Partitions with
 * nothing to read are in none. Throws InvalidRequestError where they are too many.
 */
export function packWorkItems(partitions: readonly PartitionWork[], workers: number): WorkItem[] {
  const pending = partitions
    .filter((work) => work.start_offset < work.end_offset)
    .map((work) => ({ work, cost: costOf(work), bytes: work.topic.length + workBytesMax }));
  const hint = "Give topics.include fewer topics, and back up the others under another backup_id.";
  const items = packByCost(pending, { workers, itemCostMin, hint });
  return items.map((partitions, number) => ({ number, partitions }));
}

/** In offsets. */
export function costOf(work: PartitionWork): bigint {
  return partitionCost + (work.end_offset - work.start_offset);
}
