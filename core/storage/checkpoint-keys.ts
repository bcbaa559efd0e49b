/**
 * Where a run's checkpoints lie: a folder for each partition, and another for each further range
 * of a partition that is read in several.
 *
 *     state/runs/{run_id}/checkpoints/{topic}/{partition}/{sequence, 8 digits}.json
 *     state/runs/{run_id}/checkpoints/{topic}/
 *                      {partition}-{from_offset, 20 digits}-{leader_epoch}/{sequence, 8 digits}.json
 */
import {
  checkTopicName,
  offsetDigits,
  partitionDigits,
  sequenceDigits,
  stateRunFolder,
} from "#core/storage/keys.ts";

/** Names a range by its first batch: offset and leader epoch. */
export interface RangeName {
  readonly from_offset: bigint;
  readonly leader_epoch: number;
}

export interface CheckpointsName {
  readonly runId: string;
  readonly topic: string;
  readonly partition: number;
  /** Absent: the partition's own checkpoints, which are those of its first range. */
  readonly range?: RangeName | undefined;
}

/** Of all checkpoints of a run; its folders bear the names of topics. */
export function checkpointTopicsFolder(runId: string): string {
  return `${stateRunFolder(runId)}checkpoints/`;
}

export function checkpointsFolder({ runId, topic, partition, range }: CheckpointsName): string {
  const name = partitionDigits(partition) + (range === undefined ? "" : rangeSuffix(range));
  return `${checkpointTopicsFolder(runId)}${checkTopicName(topic)}/${name}/`;
}

export function checkpointKey(at: CheckpointsName, sequence: number): string {
  return `${checkpointsFolder(at)}${sequenceDigits(sequence)}.json`;
}

/** Partition and range of a folder's name, or undefined when it is none of checkpoints. */
export function parseCheckpointsFolder(
  name: string,
): Pick<CheckpointsName, "partition" | "range"> | undefined {
  const match = /^(0|[1-9]\d{0,9})(?:-(\d{20})-(0|[1-9]\d{0,9}))?$/.exec(name);
  if (match === null) return undefined;
  const [, partition, fromOffset, leaderEpoch] = match;
  if (fromOffset === undefined) return { partition: Number(partition) };
  const range = { from_offset: BigInt(fromOffset), leader_epoch: Number(leaderEpoch) };
  return { partition: Number(partition), range };
}

function rangeSuffix({ from_offset, leader_epoch }: RangeName): string {
  return `-${offsetDigits(from_offset)}-${leader_epoch}`;
}
