/**
 * Splits what is to be read of a large partition into ranges for several workers, where that
 * shortens the run: a partition that holds more than one worker's even share of all there is
 * would still be read when the other workers have nothing left to do.
 */
import pLimit from "p-limit";
import type { PartitionWork, PlannedRange } from "#core/backup/contract.ts";
import { concurrentRequests } from "#core/backup/plan-partitions.ts";
import { lineageName } from "#core/backup/ranges.ts";
import { costOf } from "#core/backup/work-items.ts";
import { BackupError } from "#core/errors.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import type { Cluster } from "#core/kafka/cluster.ts";

/**
 * Offsets that are worth a worker of their own: its start takes 1 to 3 s on AWS (the function's, a
 * login, metadata, the lease), and 1,000,000 records 7 s, at 150,000 a second.
 */
export const rangeOffsetsDefault = 1_000_000;

/**
 * As many ranges for each worker, because bytes are not spread over offsets alike: who comes to
 * thin ones takes another. A run has at most 1,000 workers, so all ranges are fewer than 4,000.
 */
const rangesPerWorker = 4n;

const fetchWaitMs = 500;

export interface SplitOptions {
  /** Workers at a time. */
  readonly workers: number;
  /** A range has at least so many. */
  readonly rangeOffsetsMin: number;
}

/**
 * New ranges within `works`, in no order. Each begins with a batch that the log holds, so that no
 * batch lies across a border. Where the broker shows none there is no border: whoever reads the
 * partition meets what is wrong with it.
 */
export async function splitRanges(
  cluster: Cluster,
  works: readonly PartitionWork[],
  options: SplitOptions,
): Promise<PlannedRange[]> {
  const wanted = wantedBorders(works, options);
  const found = await pLimit(concurrentRequests).map(wanted, ({ work, offset }) =>
    rangeFrom(cluster, work, offset),
  );
  const ranges = new Map<string, PlannedRange>();
  for (const range of found) {
    if (range !== undefined) ranges.set(`${lineageName(range)}/${range.from_offset}`, range);
  }
  return [...ranges.values()];
}

interface WantedBorder {
  readonly work: PartitionWork;
  /** Within the work, nearer to its batches' borders than nothing. */
  readonly offset: bigint;
}

function wantedBorders(works: readonly PartitionWork[], options: SplitOptions): WantedBorder[] {
  const pending = works.filter((work) => work.start_offset < work.end_offset);
  const total = pending.reduce((sum, work) => sum + costOf(work), 0n);
  const share = total / BigInt(options.workers);
  const even = share / rangesPerWorker;
  const least = BigInt(options.rangeOffsetsMin);
  const length = even > least ? even : least;
  return pending.flatMap((work) => {
    const offsets = work.end_offset - work.start_offset;
    const count = offsets > share ? offsets / length : 1n;
    return Array.from({ length: Math.max(0, Number(count) - 1) }, (_, i) => ({
      work,
      offset: work.start_offset + (offsets * BigInt(i + 1)) / count,
    }));
  });
}

/** The range that begins with the batch that holds `offset`, or with the first one behind it. */
async function rangeFrom(
  cluster: Cluster,
  work: PartitionWork,
  offset: bigint,
): Promise<PlannedRange | undefined> {
  const { topic, partition, lineage } = work;
  try {
    const { records } = await cluster.fetch({
      topic,
      partition,
      fetchOffset: offset,
      currentLeaderEpoch: work.leader_epoch,
      maxBytes: 1,
      minBytes: 1,
      maxWaitMs: fetchWaitMs,
      isolation: "read_committed",
    });
    if (records.length === 0) return undefined;
    const first = checkBatch(records, 0, work);
    const { baseOffset: from_offset, partitionLeaderEpoch: leader_epoch } = first;
    const isWithin = from_offset > work.start_offset && from_offset < work.end_offset;
    if (!isWithin || leader_epoch < 0) return undefined;
    const start = { from_offset, leader_epoch, start_offset: from_offset };
    return { topic, partition, lineage, ...start, last_leader_epoch: leader_epoch };
  } catch (error) {
    if (error instanceof BackupError) return undefined;
    throw error;
  }
}
