/** Reads one lineage of one backed-up partition, frame by frame. */
import type { LineageState, Manifest } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreDeps, RestorePartitionRequest } from "#core/restore/contract.ts";
import { readFrames, readIndex } from "#core/segment/reader.ts";
import { inBackup, indexKeyOf } from "#core/storage/keys.ts";

export interface PartitionSource {
  readonly lineage: LineageState;
  /**
   * Whole record batches in order, a frame at a time; all that may hold wanted records with
   * offsets from `from` on. The consumer may change them.
   */
  frames(from: bigint): AsyncGenerator<Buffer, void, undefined>;
}

type SourceRequest = Pick<
  RestorePartitionRequest,
  "backup_id" | "manifest" | "source_topic" | "source_partition" | "lineage" | "window"
>;

/**
 * Opens the source as the manifest that the restore is pinned to describes it. Throws
 * CorruptManifestError when that manifest is another one by now.
 */
export async function openSource(
  deps: Pick<RestoreDeps, "storage" | "catalog">,
  request: SourceRequest,
): Promise<PartitionSource> {
  const { backup_id, manifest: pinned } = request;
  const { manifest, sha256 } = await deps.catalog.readManifest(backup_id, pinned.generation);
  if (sha256 !== pinned.sha256) {
    throw new BackupError(
      "CorruptManifestError",
      `manifest ${pinned.generation} of backup "${backup_id}" is not the one the restore began with`,
    );
  }
  return {
    lineage: lineageOf(manifest, request),
    frames: (from) => framesOf(deps, manifest, request, from),
  };
}

function lineageOf(manifest: Manifest, request: SourceRequest): LineageState {
  const { source_topic, source_partition, lineage } = request;
  const found = manifest.topics
    .find((topic) => topic.name === source_topic)
    ?.partitions.find(({ partition }) => partition === source_partition)
    ?.lineages.find((state) => state.lineage === lineage);
  if (found !== undefined) return found;
  throw new BackupError(
    "BackupNotFoundError",
    `backup "${manifest.backup_id}" has no lineage ${lineage} of ${source_topic}-${source_partition}`,
  );
}

/**
 * A window's start leaves out what is older by the frames' largest timestamp. Nothing is left out
 * for its end: records may be older than those before them.
 */
async function* framesOf(
  { storage, catalog }: Pick<RestoreDeps, "storage" | "catalog">,
  manifest: Manifest,
  { backup_id, source_topic, source_partition, lineage, window }: SourceRequest,
  from: bigint,
): AsyncGenerator<Buffer, void, undefined> {
  const isWanted = (endOffset: bigint, maxTimestamp: bigint) =>
    endOffset >= from && (window.start === undefined || maxTimestamp >= window.start);
  const selection = { topic: source_topic, partition: source_partition, lineage };
  for await (const { segment } of segmentsOf(catalog, manifest, selection)) {
    if (!isWanted(segment.end_offset, segment.end_timestamp)) continue;
    const key = inBackup(backup_id, segment.key);
    const index = await readIndex(storage, inBackup(backup_id, indexKeyOf(segment.key)), segment);
    const select = (frame: { end_offset: bigint; max_timestamp: bigint }) =>
      isWanted(frame.end_offset, frame.max_timestamp);
    for await (const { batches } of readFrames(storage, key, index, select)) yield batches;
  }
}
