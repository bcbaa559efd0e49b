/**
 * Topics that another tool restored: the strategies that find a position by what the target holds
 * need no restore of ours, only to know which topics are meant: those of the same name.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { logBounds } from "#core/offsets/log-bounds.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import { checkBackupId } from "#core/storage/keys.ts";

/**
 * The newest lineages of the backup beside the cluster's topics of the same names; a topic that is
 * the source itself is left out. Without an offset map.
 */
export async function sameNamedPartitions(
  { catalog, cluster }: { readonly catalog: Catalog; readonly cluster: Cluster },
  backupId: string,
): Promise<RestoredPartition[]> {
  const manifest = (await catalog.latestManifest(checkBackupId(backupId)))?.manifest;
  const sources = (manifest?.topics ?? []).flatMap(({ name, partitions }) =>
    partitions.map(({ partition, lineages }) => ({
      topic: name,
      partition,
      lineage: lineages.at(-1)!,
    })),
  );
  const found = await cluster.describeTopics([...new Set(sources.map(({ topic }) => topic))]);
  const targets = new Map(
    found.flatMap(({ name, topicId, partitions }) =>
      partitions.map(({ partition }) => [partitionName({ topic: name, partition }), topicId]),
    ),
  );
  const both = sources.flatMap((source) => {
    const targetTopicId = targets.get(partitionName(source));
    const isAnother = targetTopicId !== undefined && targetTopicId !== source.lineage.topic_id;
    return isAnother ? [{ ...source, targetTopicId }] : [];
  });
  const bounds = await logBounds(cluster, both);
  return both.map(({ topic, partition, lineage, targetTopicId }) => {
    const { start, end } = bounds.get(partitionName({ topic, partition }))!;
    return {
      source_topic: topic,
      source_partition: partition,
      lineage: lineage.lineage,
      source_topic_id: lineage.topic_id,
      target_topic: topic,
      target_partition: partition,
      target_topic_id: targetTopicId,
      start_offset: start,
      end_offset: end,
      source_start_offset: lineage.start_offset,
      source_end_offset: lineage.next_offset,
      source_gaps: lineage.gaps,
      window: {},
      mapParts: () => {
        throw noMap(backupId);
      },
      runs: () => Promise.reject(noMap(backupId)),
    };
  });
}

function noMap(backupId: string): BackupError {
  const message = `no restore of backup "${backupId}" left an offset map of the topic`;
  return new BackupError("BackupNotFoundError", message);
}
