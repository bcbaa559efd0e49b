/** Reads the records at given offsets of a backed-up partition: the frames that hold them alone. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { LineageState, Manifest } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import { BackupError } from "#core/errors.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { lastOffsetOf, type RecordBatchHeader } from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import { type ValidOffsets, validOffsets } from "#core/restore/source-range.ts";
import { forEachBatch, readFrames, readIndex } from "#core/segment/reader.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, indexKeyOf } from "#core/storage/keys.ts";

export interface ArchivedPartition extends TopicPartition {
  readonly lineage: number;
  /** Records outside are passed over, as a restore with this window did. */
  readonly window: TimeWindow;
  /** Exclusive: what was archived after the restore is not in the target. */
  readonly to: bigint;
}

/** Of the source of a restored partition: the records that are in the target. */
export function archivedPartition(partition: RestoredPartition): ArchivedPartition {
  return {
    topic: partition.source_topic,
    partition: partition.source_partition,
    lineage: partition.lineage,
    window: partition.window,
    to: partition.source_end_offset,
  };
}

/** What was taken of the first records at or after `position`; fewer where the archive ends. */
export interface TakenRecords<Taken> {
  readonly position: bigint;
  readonly records: readonly Taken[];
}

interface ReadDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
}

/** Has every segment that an earlier one had. Throws BackupNotFoundError. */
export async function newestManifest(catalog: Catalog, backupId: string): Promise<Manifest> {
  const stored = await catalog.latestManifest(backupId);
  if (stored !== undefined) return stored.manifest;
  throw new BackupError("BackupNotFoundError", `there is no backup "${backupId}"`);
}

/**
 * For each of `positions` (ascending, none twice), in order: what `take` makes of the first
 * `count` records at or after it that a consumer of the source could read. Throws
 * BackupNotFoundError, and what catalogue and segments throw.
 */
export async function* archivedRecords<Taken>(
  { storage, catalog }: ReadDeps,
  manifest: Manifest,
  from: ArchivedPartition,
  positions: readonly bigint[],
  count: number,
  take: (record: RecordCursor) => Taken,
): AsyncGenerator<TakenRecords<Taken>, void, undefined> {
  const valid = validOffsets(lineageOf(manifest, from), 0n);
  const taking = new PositionsTaking(from, valid, positions, count, take);
  const { topic, partition, lineage, to } = from;
  for await (const { segment } of segmentsOf(catalog, manifest, { topic, partition, lineage })) {
    if (segment.start_offset >= to) break;
    if (!taking.wants(segment.end_offset)) continue;
    const key = inBackup(manifest.backup_id, segment.key);
    const indexKey = inBackup(manifest.backup_id, indexKeyOf(segment.key));
    const index = await readIndex(storage, indexKey, segment);
    for (const frame of index.frames) {
      if (!taking.wants(frame.end_offset)) continue;
      const read = readFrames(storage, key, index, (candidate) => candidate === frame);
      for await (const { batches } of read) taking.readBatches(batches);
      yield* taking.finished();
      if (taking.isDone) return;
    }
  }
  yield* taking.rest();
}

function lineageOf(
  manifest: Manifest,
  { topic, partition, lineage }: Pick<ArchivedPartition, "topic" | "partition" | "lineage">,
): LineageState {
  const found = manifest.topics
    .find(({ name }) => name === topic)
    ?.partitions.find((state) => state.partition === partition)
    ?.lineages.find((state) => state.lineage === lineage);
  if (found !== undefined) return found;
  throw new BackupError(
    "BackupNotFoundError",
    `backup "${manifest.backup_id}" has no lineage ${lineage} of ${topic}-${partition}`,
  );
}

/** Positions that no record was found for yet, and those that want more records. */
class PositionsTaking<Taken> {
  readonly #at: ArchivedPartition;
  readonly #valid: ValidOffsets;
  readonly #positions: readonly bigint[];
  readonly #count: number;
  readonly #take: (record: RecordCursor) => Taken;
  #next = 0;
  /** In the order of positions: none is complete before an earlier one. */
  #open: { readonly position: bigint; readonly records: Taken[] }[] = [];

  constructor(
    at: ArchivedPartition,
    valid: ValidOffsets,
    positions: readonly bigint[],
    count: number,
    take: (record: RecordCursor) => Taken,
  ) {
    this.#at = at;
    this.#valid = valid;
    this.#positions = positions;
    this.#count = count;
    this.#take = take;
  }

  get isDone(): boolean {
    return this.#open.length === 0 && this.#next === this.#positions.length;
  }

  /** Whether offsets up to `endOffset`, inclusive, may hold a record that is wanted. */
  wants(endOffset: bigint): boolean {
    const position = this.#positions[this.#next];
    return this.#open.length > 0 || (position !== undefined && position <= endOffset);
  }

  readBatches(batches: Buffer): void {
    forEachBatch(batches, (header, position) => {
      if (this.wants(lastOffsetOf(header))) this.#readBatch(header, batches, position);
    });
  }

  #readBatch(header: RecordBatchHeader, batches: Buffer, position: number): void {
    const body = bodyOf(header, batches, position, this.#at, batchBodyBytesMax);
    const cursor = new RecordCursor(header, body, this.#at);
    while (cursor.next()) {
      const { offset, timestamp } = cursor;
      if (offset >= this.#at.to) return;
      if (!this.#valid.has(offset) || !isWithin(timestamp, this.#at.window)) continue;
      for (;;) {
        const wanted = this.#positions[this.#next];
        if (wanted === undefined || wanted > offset) break;
        this.#open.push({ position: wanted, records: [] });
        this.#next += 1;
      }
      const wanting = this.#open.filter(({ records }) => records.length < this.#count);
      if (wanting.length === 0) continue;
      const taken = this.#take(cursor);
      for (const { records } of wanting) records.push(taken);
    }
  }

  *finished(): Generator<TakenRecords<Taken>> {
    const complete = this.#open.filter(({ records }) => records.length === this.#count);
    this.#open = this.#open.slice(complete.length);
    yield* complete;
  }

  *rest(): Generator<TakenRecords<Taken>> {
    yield* this.#open;
    for (const position of this.#positions.slice(this.#next)) yield { position, records: [] };
  }
}

function isWithin(timestamp: bigint, { start, end }: TimeWindow): boolean {
  return (start === undefined || timestamp >= start) && (end === undefined || timestamp <= end);
}
