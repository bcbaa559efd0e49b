/** What a backup holds of each partition, for comparing two backups of the same log. */
import { createHash } from "node:crypto";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { LineageState } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import { readFrames, readIndex } from "#core/segment/reader.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, indexKeyOf } from "#core/storage/keys.ts";

export interface ArchivedPartition {
  /** Range, totals of records, batches and their bytes, gaps, dropped batches. */
  readonly lineages: readonly unknown[];
  /** SHA-256 of all batches' bytes, end to end. */
  readonly batches: string;
}

/** By `topic/partition`, of the newest manifest. */
export async function archivedPartitions(
  { storage, catalog }: { storage: StorageBackend; catalog: Catalog },
  backupId: string,
): Promise<Record<string, ArchivedPartition>> {
  const { manifest } = (await catalog.latestManifest(backupId))!;
  const found: Record<string, ArchivedPartition> = {};
  for (const topic of manifest.topics) {
    const hashes = new Map(
      topic.partitions.map(({ partition }) => [partition, createHash("sha256")]),
    );
    const segments = segmentsOf(catalog, manifest, { topic: topic.name });
    for await (const { partition, segment } of segments) {
      const keyOf = (key: string) => inBackup(backupId, key);
      const index = await readIndex(storage, keyOf(indexKeyOf(segment.key)), segment);
      const frames = readFrames(storage, keyOf(segment.key), index, () => true);
      for await (const { batches } of frames) hashes.get(partition)!.update(batches);
    }
    for (const { partition, lineages } of topic.partitions) {
      found[`${topic.name}/${partition}`] = {
        lineages: lineages.map(comparable),
        batches: hashes.get(partition)!.digest("hex"),
      };
    }
  }
  return found;
}

/** Without times, runs, and where segments end. */
function comparable(state: LineageState): unknown {
  const { lineage, topic_id, start_offset, next_offset, last_leader_epoch } = state;
  const { record_count, batch_count, batch_bytes } = state.totals;
  const { max_timestamp, dropped, gaps } = state;
  return {
    ...{ lineage, topic_id, start_offset, next_offset, last_leader_epoch, max_timestamp },
    ...{ record_count, batch_count, batch_bytes, dropped },
    gaps: gaps.map(({ from_offset, to_offset, reason }) => ({ from_offset, to_offset, reason })),
  };
}
