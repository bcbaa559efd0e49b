/**
 * Packs the partitions of a plan into work items, one for each worker of a distributed run, so
 * that neither thousands of tiny partitions nor a large one among small ones decide how long the
 * run takes. How many records a partition has is estimated by its offsets: exact but for
 * transactions, compaction and retention.
 */
import { z } from "zod";
import { type PartitionWork, partitionWork } from "#core/backup/contract.ts";
import { BackupError } from "#core/errors.ts";

export const workItem = z.object({
  /** From 0; names what the item leaves in the bucket. */
  number: z.int().min(0),
  partitions: z.array(partitionWork).min(1),
});
export type WorkItem = z.infer<typeof workItem>;

/** A Distributed Map takes any number, but each item is a workflow of its own. */
export const workItemsMax = 10_000;
/**
 * Bytes of an item's JSON. It is handed to each of its worker's turns, together with some 1 KiB
 * that names the run, and Step Functions takes 256 KiB.
 */
export const workItemBytesMax = 64 * 1024;

/** Of a partition's JSON without the topic's name: names of fields, and 64-bit numbers in quotes. */
const workBytesMax = 240;

/**
 * What a partition costs however little it holds, in offsets: some 10 requests for its segment,
 * index and checkpoint, 0.3 s at 150,000 records a second.
 */
const partitionCost = 50_000n;
/** An item of less would be over before its worker has started: 5 partitions of nothing, 1.5 s. */
const itemCostMin = 5n * partitionCost;
/** Of items for each worker, so that all of them end at about the same time. */
const itemsPerWorker = 4n;

/**
 * Work items for up to `workers` at a time, those that take longest first. Partitions with
 * nothing to read are in none. Throws InvalidRequestError where they are too many.
 */
export function packWorkItems(partitions: readonly PartitionWork[], workers: number): WorkItem[] {
  const pending = partitions
    .filter((work) => work.start_offset < work.end_offset)
    .map((work) => ({ work, cost: costOf(work), bytes: work.topic.length + workBytesMax }))
    .sort((a, b) => (a.cost === b.cost ? 0 : a.cost < b.cost ? 1 : -1));
  const total = pending.reduce((sum, { cost }) => sum + cost, 0n);
  const aim = costOfItem(total, workers);
  const items: PartitionWork[][] = [];
  let cost = 0n;
  let bytes = 0;
  for (const one of pending) {
    const item = items.at(-1);
    const fits = cost + one.cost <= aim && bytes + one.bytes <= workItemBytesMax;
    if (item !== undefined && fits) {
      item.push(one.work);
      cost += one.cost;
      bytes += one.bytes;
    } else {
      items.push([one.work]);
      cost = one.cost;
      bytes = one.bytes;
    }
  }
  if (items.length > workItemsMax) throw tooMany(pending.length, items.length);
  return items.map((partitions, number) => ({ number, partitions }));
}

function costOf(work: PartitionWork): bigint {
  return partitionCost + (work.end_offset - work.start_offset);
}

/**
 * Two items that follow one another cost more than one may, so there are fewer than twice as many
 * items as the total has room for.
 */
function costOfItem(total: bigint, workers: number): bigint {
  const even = total / (BigInt(workers) * itemsPerWorker);
  const floor = (2n * total) / BigInt(workItemsMax) + 1n;
  return [even, floor, itemCostMin].reduce((a, b) => (a > b ? a : b));
}

function tooMany(partitions: number, items: number): BackupError {
  return new BackupError(
    "InvalidRequestError",
    `${partitions} partitions make ${items} work items; one run takes ${workItemsMax}`,
    { hint: "Give topics.include fewer topics, and back up the others under another backup_id." },
  );
}
