/**
 * Packs work into items, one for each worker of a distributed run, so that neither thousands of
 * tiny pieces nor a large one among small ones decide how long the run takes.
 */
import { BackupError } from "#core/errors.ts";

/** A Distributed Map takes any number, but each item is a workflow of its own. */
export const workItemsMax = 10_000;
/**
 * Bytes of an item's JSON. It is handed to each of its worker's turns, together with some 1 KiB
 * that names the run, and Step Functions takes 256 KiB.
 */
export const workItemBytesMax = 64 * 1024;

/** Of items for each worker, so that all of them end at about the same time. */
const itemsPerWorker = 4n;

export interface Packable<Work> {
  readonly work: Work;
  /** Of any unit, the same for all. */
  readonly cost: bigint;
  /** Of its JSON, at most. */
  readonly bytes: number;
}

export interface PackingOptions {
  /** Workers at a time. */
  readonly workers: number;
  /** An item of less would be over before its worker has started. */
  readonly itemCostMin: bigint;
  /** What to do where one run cannot take all. */
  readonly hint: string;
}

/** Items, those that take longest first. Throws InvalidRequestError where they are too many. */
export function packByCost<Work>(
  pieces: readonly Packable<Work>[],
  options: PackingOptions,
): Work[][] {
  const pending = pieces.toSorted((a, b) => (a.cost === b.cost ? 0 : a.cost < b.cost ? 1 : -1));
  const total = pending.reduce((sum, { cost }) => sum + cost, 0n);
  const aim = costOfItem(total, options);
  const items: Work[][] = [];
  let cost = 0n;
  let bytes = 0;
  for (const piece of pending) {
    const item = items.at(-1);
    const fits = cost + piece.cost <= aim && bytes + piece.bytes <= workItemBytesMax;
    if (item !== undefined && fits) {
      item.push(piece.work);
      cost += piece.cost;
      bytes += piece.bytes;
    } else {
      items.push([piece.work]);
      cost = piece.cost;
      bytes = piece.bytes;
    }
  }
  if (items.length > workItemsMax) throw tooMany(pending.length, items.length, options.hint);
  return items;
}

/**
 * Of an item, at most. Two that follow one another cost more than one may, so there are fewer than twice as many
 * items as the total has room for.
 */
export function costOfItem(
  total: bigint,
  { workers, itemCostMin }: Pick<PackingOptions, "workers" | "itemCostMin">,
): bigint {
  const even = total / (BigInt(workers) * itemsPerWorker);
  const floor = (2n * total) / BigInt(workItemsMax) + 1n;
  return [even, floor, itemCostMin].reduce((a, b) => (a > b ? a : b));
}

function tooMany(partitions: number, items: number, hint: string): BackupError {
  return new BackupError(
    "InvalidRequestError",
    `${partitions} partitions make ${items} work items; one run takes ${workItemsMax}`,
    { hint },
  );
}
