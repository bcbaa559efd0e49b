/** A committed offset against the log that it is meant for. */
import type { Cluster, TopicPartition } from "#core/kafka/cluster.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";

/** By `topic-partition`: consumers can read offsets `[start, end)`. */
export type LogBounds = ReadonlyMap<string, LogBound>;

export interface LogBound {
  readonly start: bigint;
  /** The high watermark: where a group that has read all of it stands. */
  readonly end: bigint;
}

/** Throws what kept the cluster from telling a partition's. */
export async function logBounds(
  cluster: Pick<Cluster, "listOffsets">,
  partitions: readonly TopicPartition[],
): Promise<LogBounds> {
  // The end is read last: records that come meanwhile move it up.
  const starts = await cluster.listOffsets(partitions, "earliest");
  const ends = await cluster.listOffsets(partitions, "highWatermark");
  const bounds = new Map<string, LogBound>();
  for (const [i, at] of partitions.entries()) {
    const start = starts[i]!;
    const end = ends[i]!;
    if ("error" in start) throw start.error;
    if ("error" in end) throw end.error;
    bounds.set(partitionName(at), { start: start.offset, end: end.offset });
  }
  return bounds;
}

export interface Clamped {
  /** Of the offset: before the log's first record, beyond its end. */
  readonly is: "inside" | "before" | "beyond";
  /** The nearest one that a group can stand at. */
  readonly offset: bigint;
  readonly note?: string;
}

export function clampToLog(offset: bigint, { start, end }: LogBound): Clamped {
  if (offset < start) {
    const note = `offset ${offset} was deleted: the log begins at ${start}`;
    return { is: "before", offset: start, note };
  }
  if (offset > end) {
    const note = `offset ${offset} is beyond the log, which ends at ${end}`;
    return { is: "beyond", offset: end, note };
  }
  return { is: "inside", offset };
}
