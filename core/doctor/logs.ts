/** How far the backup is behind the logs of the selected topics. */
import type { LineageState, Manifest } from "#core/catalog/manifest.ts";
import type { Cluster, TopicDescription, TopicPartition } from "#core/kafka/cluster.ts";

export interface PartitionLog extends TopicPartition {
  /** Offsets `[start, end)` are in the log. */
  readonly start: bigint;
  readonly end: bigint;
  /** The lineage that the next run continues; undefined where it begins one. */
  readonly lineage: LineageState | undefined;
}

/** Partitions that cannot be asked are left out. */
export async function readLogs(
  cluster: Cluster,
  topics: readonly TopicDescription[],
  manifest: Manifest | undefined,
): Promise<PartitionLog[]> {
  const partitions = topics.flatMap(({ name, topicId, partitions }) =>
    partitions.map(({ partition }) => ({ topic: name, topicId, partition })),
  );
  const [starts, ends] = await Promise.all([
    cluster.listOffsets(partitions, "earliest"),
    cluster.listOffsets(partitions, "lastStable"),
  ]);
  return partitions.flatMap(({ topic, topicId, partition }, i) => {
    const start = starts[i]!;
    const end = ends[i]!;
    if ("error" in start || "error" in end) return [];
    const newest = lineagesOf(manifest, { topic, partition }).at(-1);
    const lineage = newest?.topic_id === topicId ? newest : undefined;
    return [{ topic, partition, start: start.offset, end: end.offset, lineage }];
  });
}

function lineagesOf(manifest: Manifest | undefined, at: TopicPartition): readonly LineageState[] {
  const topic = manifest?.topics.find(({ name }) => name === at.topic);
  return topic?.partitions.find(({ partition }) => partition === at.partition)?.lineages ?? [];
}

/** The part of the log that the next run reads, 0 to 1. */
export function unreadShare({ start, end, lineage }: PartitionLog): number {
  if (end <= start) return 0;
  const next = lineage?.next_offset ?? start;
  const from = next > start ? next : start;
  return from >= end ? 0 : Number(end - from) / Number(end - start);
}
