/**
 * What a run means to read of each partition: up to its end, from where the archive ends, in one
 * lineage. A run that is planned anew keeps the ranges that an earlier attempt had begun, as far
 * as the log still holds what was read of them.
 */
import pLimit from "p-limit";
import type { BackupDeps, BackupPlan, PartitionWork, PlannedRange } from "#core/backup/contract.ts";
import { type ArchivedPosition, archivedPosition, continuesArchive } from "#core/backup/lineage.ts";
import { type PlannedReading, partitionName } from "#core/backup/ranges.ts";
import type { Catalog, PartitionOfRun } from "#core/catalog/catalog.ts";
import type { LineageState, Manifest } from "#core/catalog/manifest.ts";
import type { Checkpoint } from "#core/catalog/run-state.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { PartitionFailure } from "#core/partition-failure.ts";

/** Requests to the cluster under way at once while planning; a broker queues 500 by default. */
export const concurrentRequests = 16;

/** A partition as it stood at the plan. */
export interface PartitionEnd {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly startOffset: bigint;
  readonly lastStableOffset: bigint;
}

/** What is known of earlier reading. */
export interface EarlierReading {
  readonly manifest: Manifest | undefined;
  /** Of the interrupted run that goes on; undefined where none does, or it had none yet. */
  readonly plan: BackupPlan | undefined;
}

export interface PlannedPartitions extends PlannedReading {
  readonly failed: readonly PartitionFailure[];
}

/** Where checkpoints are, of one run. */
type Run = Pick<PartitionOfRun, "backupId" | "runId">;

/** One partition's failure stops no other (K7). */
export async function planPartitions(
  deps: BackupDeps,
  run: Run,
  earlier: EarlierReading,
  ends: readonly PartitionEnd[],
): Promise<PlannedPartitions> {
  const before = earlierByPartition(earlier);
  const partitions: PartitionWork[] = [];
  const ranges: PlannedRange[] = [];
  const failed: PartitionFailure[] = [];
  await pLimit(concurrentRequests).map(ends, async (end) => {
    try {
      const planned = await planPartition(deps, run, end, before(end));
      partitions.push(planned.whole);
      ranges.push(...planned.ranges);
    } catch (cause) {
      failed.push({ topic: end.topic, partition: end.partition, cause });
    }
  });
  partitions.sort((a, b) => compare(a.topic, b.topic) || a.partition - b.partition);
  return { partitions, ranges, failed };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface EarlierPartition {
  readonly committed: LineageState | undefined;
  readonly work: PartitionWork | undefined;
  readonly ranges: readonly PlannedRange[];
}

function earlierByPartition({ manifest, plan }: EarlierReading) {
  const committed = new Map(
    manifest?.topics.flatMap((topic) =>
      topic.partitions.map(({ partition, lineages }) => {
        const name = partitionName({ topic: topic.name, partition });
        return [name, lineages.at(-1)] as const;
      }),
    ),
  );
  const works = new Map(plan?.partitions.map((work) => [partitionName(work), work]));
  const ranges = Map.groupBy(plan?.ranges ?? [], partitionName);
  return (end: PartitionEnd): EarlierPartition => {
    const name = partitionName(end);
    return {
      committed: committed.get(name),
      work: works.get(name),
      ranges: ranges.get(name) ?? [],
    };
  };
}

interface BegunRange {
  readonly start: PlannedRange;
  readonly last: Checkpoint;
}

async function planPartition(
  deps: BackupDeps,
  run: Run,
  end: PartitionEnd,
  before: EarlierPartition,
): Promise<{ whole: PartitionWork; ranges: PlannedRange[] }> {
  const at = { ...run, topic: end.topic, partition: end.partition };
  const last = (await deps.catalog.checkpoints(at)).at(-1);
  const begun = await begunRanges(deps.catalog, at, before, last);
  const archived = positionBefore(before, last, begun);
  const whole = await planWhole(deps, end, archived);
  if (whole.lineage !== archived?.lineage) return { whole, ranges: [] };
  const ranges = await continuedRanges(deps.cluster, whole, begun);
  // The last stable offset may lag for a moment after a leader change; never go back.
  const reached = ranges.at(-1)?.start_offset ?? 0n;
  const end_offset = reached > whole.end_offset ? reached : whole.end_offset;
  return { whole: { ...whole, end_offset }, ranges };
}

/** Ranges of the lineage that was being read of which something is checkpointed, ascending. */
async function begunRanges(
  catalog: Catalog,
  at: PartitionOfRun,
  { work, ranges }: EarlierPartition,
  last: Checkpoint | undefined,
): Promise<BegunRange[]> {
  const lineage = work?.lineage ?? last?.lineage;
  const begun: BegunRange[] = [];
  for (const start of ranges) {
    if (start.lineage !== lineage) continue;
    const { from_offset, leader_epoch } = start;
    const parts = await catalog.checkpoints({ ...at, range: { from_offset, leader_epoch } });
    const last = parts.at(-1);
    if (last?.lineage === lineage) begun.push({ start, last });
  }
  return begun;
}

/**
 * Where the first range begins that was planned, if others got ahead and it did not: what is
 * missing before them is a gap, should the log have lost it meanwhile.
 */
function positionBefore(
  { committed, work }: EarlierPartition,
  last: Checkpoint | undefined,
  begun: readonly BegunRange[],
): ArchivedPosition | undefined {
  if (begun.length === 0 || work === undefined || work.lineage === last?.lineage) {
    return archivedPosition(committed, last);
  }
  return {
    lineage: work.lineage,
    topicId: work.topic_id,
    nextOffset: work.start_offset,
    lastLeaderEpoch: work.last_leader_epoch,
  };
}

async function planWhole(
  { cluster, logger }: BackupDeps,
  end: PartitionEnd,
  archived: ArchivedPosition | undefined,
): Promise<PartitionWork> {
  const work = {
    topic: end.topic,
    topic_id: end.topicId,
    partition: end.partition,
    end_offset: end.lastStableOffset,
    leader_epoch: end.leaderEpoch,
  };
  const beginning = { ...work, start_offset: end.startOffset, last_leader_epoch: -1 };
  if (archived === undefined) return { ...beginning, lineage: 1 };
  if (await continuesArchive(cluster, end, end.topicId, archived)) {
    const { lineage, nextOffset, lastLeaderEpoch } = archived;
    // As above: never back.
    const endOffset = end.lastStableOffset > nextOffset ? end.lastStableOffset : nextOffset;
    const position = { lineage, start_offset: nextOffset, last_leader_epoch: lastLeaderEpoch };
    return { ...work, ...position, end_offset: endOffset };
  }
  logger.warn(
    `${end.topic}-${end.partition} was created anew or truncated: lineage ${archived.lineage + 1} begins`,
  );
  return { ...beginning, lineage: archived.lineage + 1 };
}

/**
 * Ranges that still lie ahead, of which the log holds all that was read. Of the others nothing
 * was committed: the range before them reads it again.
 */
async function continuedRanges(
  cluster: Cluster,
  whole: PartitionWork,
  begun: readonly BegunRange[],
): Promise<PlannedRange[]> {
  const continued: PlannedRange[] = [];
  let reached = whole.start_offset;
  for (const { start, last } of begun) {
    const archived = archivedPosition(undefined, last)!;
    const isAhead = start.from_offset >= reached;
    if (!isAhead || !(await continuesArchive(cluster, whole, whole.topic_id, archived))) continue;
    const { next_offset: start_offset, last_leader_epoch } = last;
    continued.push({ ...start, start_offset, last_leader_epoch });
    reached = start_offset;
  }
  return continued;
}
