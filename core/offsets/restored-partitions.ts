/**
 * What a finished restore left of each partition: where its records are in the target, and the
 * offset map that leads there.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import { corrupt, parseState, readReferenced } from "#core/catalog/documents.ts";
import type { Gap, LineageState, Manifest } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import {
  type PartitionResult,
  type RestoreCheckpoint,
  restoreCheckpoint,
  type TimeWindow,
} from "#core/restore/documents.ts";
import { decodeOffsetRuns, mergeOffsetRuns, type OffsetRun } from "#core/restore/offset-map.ts";
import type { RestoreReport, TopicReport } from "#core/restore/report.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, restorePartitionFolder } from "#core/storage/keys.ts";

export interface RestoredPartition {
  readonly source_topic: string;
  readonly source_partition: number;
  readonly lineage: number;
  readonly source_topic_id: string;
  readonly target_topic: string;
  readonly target_partition: number;
  readonly target_topic_id: string;
  /** Target offsets `[start_offset, end_offset)` hold the restored records. */
  readonly start_offset: bigint;
  readonly end_offset: bigint;
  /** The archive holds source offsets `[source_start_offset, source_end_offset)` less the gaps. */
  readonly source_start_offset: bigint;
  readonly source_end_offset: bigint;
  readonly source_gaps: readonly Pick<Gap, "from_offset" | "to_offset">[];
  readonly window: TimeWindow;
  /**
   * Whether the restore gave each record the headers of `offset-headers.ts`; undefined where no
   * restore of ours is known to have written the target.
   */
  readonly offset_headers?: boolean;
  /**
   * The offset map, part by part in ascending order, one part in memory at a time. Each part's
   * SHA-256 and the whole's completeness are checked: throws CorruptManifestError.
   */
  mapParts(): AsyncIterable<readonly OffsetRun[]>;
  /** The whole map in one list; a finely holed partition has millions of runs. */
  runs(): Promise<readonly OffsetRun[]>;
}

export interface FoundRestore {
  readonly report: RestoreReport;
  /** Of the topics that are still those that were restored into. */
  readonly partitions: RestoredPartition[];
  /** Target topics that were deleted, or created anew, since. */
  readonly gone: readonly string[];
}

/** `topic-partition` of the source, as snapshots write it. */
export function sourceKey(
  at: Pick<RestoredPartition, "source_topic" | "source_partition">,
): string {
  return partitionName({ topic: at.source_topic, partition: at.source_partition });
}

/**
 * What the report tells, of all topics but those that are `gone`. Throws CorruptManifestError where
 * the manifest is another one by now.
 */
export async function foundRestore(
  { storage, catalog }: { readonly storage: StorageBackend; readonly catalog: Catalog },
  report: RestoreReport,
  gone: readonly string[],
): Promise<FoundRestore> {
  const { backup_id, restore_id, manifest: pinned } = report;
  const { manifest, sha256 } = await catalog.readManifest(backup_id, pinned.generation);
  if (sha256 !== pinned.sha256) {
    throw new BackupError(
      "CorruptManifestError",
      `manifest ${pinned.generation} of backup "${backup_id}" is not the one that restore ` +
        `${restore_id} was made from`,
    );
  }
  const partitions = report.topics
    .filter(({ target_topic }) => !gone.includes(target_topic))
    .flatMap((topic) =>
      topic.partitions.map((result) =>
        restoredPartition(storage, report, topic, result, lineageOf(manifest, result)),
      ),
    );
  return { report, partitions, gone };
}

function lineageOf(manifest: Manifest, result: PartitionResult): LineageState {
  const { source_topic, source_partition, lineage } = result;
  const found = manifest.topics
    .find(({ name }) => name === source_topic)
    ?.partitions.find(({ partition }) => partition === source_partition)
    ?.lineages.find((state) => state.lineage === lineage);
  if (found !== undefined) return found;
  throw new BackupError(
    "CorruptManifestError",
    `manifest ${manifest.generation} of backup "${manifest.backup_id}" has no lineage ${lineage} ` +
      `of ${source_topic}-${source_partition}, which was restored from it`,
  );
}

function restoredPartition(
  storage: StorageBackend,
  { backup_id, restore_id, window, include_offset_headers }: RestoreReport,
  { target_topic_id }: TopicReport,
  result: PartitionResult,
  lineage: LineageState,
): RestoredPartition {
  const { source_topic, source_partition, target_topic, target_partition } = result;
  const folder = restorePartitionFolder(restore_id, target_topic, target_partition);
  const mapParts = () => readMapParts(storage, backup_id, folder, result);
  return {
    source_topic,
    source_partition,
    lineage: lineage.lineage,
    source_topic_id: lineage.topic_id,
    target_topic,
    target_partition,
    target_topic_id,
    start_offset: result.start_offset,
    end_offset: result.end_offset,
    source_start_offset: lineage.start_offset,
    source_end_offset: result.source_end_offset,
    source_gaps: lineage.gaps,
    window,
    offset_headers: include_offset_headers === true,
    mapParts,
    runs: async () => {
      const parts: (readonly OffsetRun[])[] = [];
      for await (const part of mapParts()) parts.push(part);
      return mergeOffsetRuns(parts);
    },
  };
}

/** What is known of a map's parts so far: each goes on where the one before ended. */
interface MapEnd {
  records: bigint;
  source: bigint;
  target: bigint;
}

/**
 * Checkpoints say which parts there are: a worker that died between the two leaves a part that
 * none of them names.
 */
async function* readMapParts(
  storage: StorageBackend,
  backupId: string,
  folder: string,
  result: PartitionResult,
): AsyncGenerator<readonly OffsetRun[], void, undefined> {
  const end: MapEnd = { records: 0n, source: 0n, target: result.start_offset };
  const prefix = inBackup(backupId, `${folder}checkpoint-`);
  for await (const { key } of storage.list(prefix)) {
    const checkpoint = parseState(key, await storage.get(key), restoreCheckpoint);
    const { name, sha256, bytes } = checkpoint.map;
    const reference = { key: `${folder}${name}`, sha256, bytes };
    const body = await readReferenced(storage, backupId, reference);
    const runs = decodeOffsetRuns(body, inBackup(backupId, reference.key));
    checkPart(key, checkpoint, runs, end);
    yield runs;
  }
  if (end.records === result.record_count && end.target <= result.end_offset) return;
  throw corrupt(
    prefix,
    `the offset map holds ${end.records} records up to target offset ${end.target}; ` +
      `${result.record_count} records up to ${result.end_offset} were restored`,
  );
}

function checkPart(
  key: string,
  { record_count }: RestoreCheckpoint,
  runs: readonly OffsetRun[],
  end: MapEnd,
): void {
  for (const { sourceOffset, targetOffset, count } of runs) {
    if (sourceOffset < end.source || targetOffset < end.target) {
      throw corrupt(key, `its part of the offset map goes back at source offset ${sourceOffset}`);
    }
    end.records += count;
    end.source = sourceOffset + count;
    end.target = targetOffset + count;
  }
  if (record_count !== end.records) {
    throw corrupt(key, `record_count: is ${record_count}, but the map holds ${end.records}`);
  }
}
