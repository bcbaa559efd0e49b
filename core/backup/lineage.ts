/**
 * Whether a partition's log is still the one that was archived. Offsets alone cannot tell: a topic
 * that was deleted and created again counts from 0, and a truncated log grows back over the same
 * offsets with other records.
 */
import type { LineageState } from "#core/catalog/manifest.ts";
import type { Checkpoint } from "#core/catalog/run-state.ts";
import type { Cluster, TopicPartition } from "#core/kafka/cluster.ts";

/** How far the archive of a partition has come. */
export interface ArchivedPosition {
  readonly lineage: number;
  readonly topicId: string;
  readonly nextOffset: bigint;
  /** Of the last batch read, kept or dropped; -1 before the first. */
  readonly lastLeaderEpoch: number;
}

/** The newest of what the manifest and the open run's checkpoints say. */
export function archivedPosition(
  committed: LineageState | undefined,
  checkpoint: Checkpoint | undefined,
): ArchivedPosition | undefined {
  const newest = checkpoint ?? committed;
  if (newest === undefined) return undefined;
  return {
    lineage: newest.lineage,
    topicId: newest.topic_id,
    nextOffset: newest.next_offset,
    lastLeaderEpoch: newest.last_leader_epoch,
  };
}

/**
 * True where reading may go on at `archived.nextOffset`: the topic id is the same and the log
 * still holds, or once held, the last batch that was read (KIP-101: the end offset of its leader
 * epoch has not fallen below what was read of it). Dropped batches count: behind a transaction's
 * data there may be a marker of a newer epoch, and the older one ends before it.
 */
export async function continuesArchive(
  cluster: Cluster,
  at: TopicPartition,
  topicId: string,
  archived: ArchivedPosition,
): Promise<boolean> {
  if (archived.topicId !== topicId) return false;
  if (archived.lastLeaderEpoch < 0) return true;
  const end = await cluster.endOffsetOfEpoch(at, archived.lastLeaderEpoch);
  if (end.leaderEpoch === archived.lastLeaderEpoch) return end.endOffset >= archived.nextOffset;
  return end.leaderEpoch < 0 && (await isEmptyAt(cluster, at, archived.nextOffset));
}

/** A log whose every batch expired may have forgotten its epochs; then nothing can be spliced. */
async function isEmptyAt(cluster: Cluster, at: TopicPartition, offset: bigint): Promise<boolean> {
  const [[earliest], end] = await Promise.all([
    cluster.listOffsets([at], "earliest"),
    cluster.logEndOffset(at),
  ]);
  if (earliest === undefined || "error" in earliest) return false;
  return earliest.offset === offset && end.endOffset === offset;
}
