/** Records of a backup, to be looked at: those of a range of offsets, or of one segment. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { LineageState, Manifest, SegmentEntry } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import { BackupError } from "#core/errors.ts";
import { type ByteForm, type ShownBytes, shownBytes } from "#core/inspect/shown-bytes.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import {
  type BatchCodec,
  codecOf,
  isLogAppendTime,
  lastOffsetOf,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";
import { RecordCursor, recordOf } from "#core/kafka/records.ts";
import { validOffsets } from "#core/restore/source-range.ts";
import type { Deadline } from "#core/runtime.ts";
import { forEachBatch, readFrames, readIndex } from "#core/segment/reader.ts";
import type { FrameEntry } from "#core/segment/segment-index.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, indexKeyOf, parseSegmentKey } from "#core/storage/keys.ts";

export interface InspectRequest extends TopicPartition {
  readonly backup_id: string;
  /** The newest manifest unless said. */
  readonly generation?: number;
  /** The newest lineage unless said; that of the segment where one is given. */
  readonly lineage?: number;
  /** Key of a segment, relative to the backup, as findings and run lists name it. */
  readonly segment?: string;
  /** The first offset; from the beginning unless said. */
  readonly from_offset?: bigint;
  /** Inclusive; to the end unless said. */
  readonly to_offset?: bigint;
  /** Unix milliseconds: begins at the first record that is not older, as Kafka's own lookup does. */
  readonly from_time?: bigint;
  readonly records_max: number;
  readonly form: ByteForm;
  /** Of a key, a value or a header, what is beyond is cut. */
  readonly bytes_max: number;
}

export interface InspectedRecord {
  readonly offset: bigint;
  /** Unix milliseconds; -1 for none. */
  readonly timestamp: bigint;
  readonly timestamp_type: "create" | "log-append";
  readonly key: ShownBytes | null;
  readonly value: ShownBytes | null;
  readonly headers: readonly { readonly key: ShownBytes; readonly value: ShownBytes | null }[];
  readonly batch: InspectedBatch;
  /** Key of the segment, relative to the backup. */
  readonly segment: string;
}

export interface InspectedBatch {
  readonly base_offset: bigint;
  readonly last_offset: bigint;
  readonly codec: BatchCodec;
  readonly bytes: number;
  /** Absent where the producer was not idempotent. */
  readonly producer_id?: bigint;
  readonly leader_epoch: number;
}

export interface Inspection extends TopicPartition {
  readonly backup_id: string;
  readonly generation: number;
  readonly lineage: number;
  readonly records: readonly InspectedRecord[];
  /** Where to go on: there is a record at or after it. Absent at the end. */
  readonly next_offset?: bigint;
}

interface InspectDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
}

/**
 * Reads only the frames that hold what is asked for. Throws BackupNotFoundError,
 * TopicNotFoundError, SegmentNotFoundError for a segment that the manifest does not name, and
 * what reading finds damaged.
 */
export async function inspect(
  deps: InspectDeps,
  request: InspectRequest,
  deadline: Deadline,
): Promise<Inspection> {
  const manifest = await manifestOf(deps.catalog, request);
  const { topic, partition } = request;
  const lineage = request.segment === undefined ? newestLineage(manifest, request) : undefined;
  const selection = { topic, partition, ...(lineage !== undefined && { lineage }) };
  const page = new Page(request);
  let found = lineage;
  for await (const each of segmentsOf(deps.catalog, manifest, selection)) {
    if (request.segment !== undefined && each.segment.key !== request.segment) continue;
    found = each.lineage;
    const state = lineageState(manifest, request, each.lineage);
    await readSegment(deps, manifest, each.segment, state, page, deadline);
    if (page.isFull || request.segment !== undefined) break;
  }
  if (found === undefined) throw noSuchSegment(manifest, request);
  return {
    backup_id: manifest.backup_id,
    generation: manifest.generation,
    ...{ topic, partition, lineage: found },
    records: page.records,
    ...(page.next !== undefined && { next_offset: page.next }),
  };
}

/** Topic and partition of a segment's key. Throws InvalidRequestError for what is no such key. */
export function partitionOfSegment(key: string): TopicPartition {
  const parsed = parseSegmentKey(key);
  if (parsed !== undefined && parsed.extension !== "index") {
    return { topic: parsed.topic, partition: parsed.partition };
  }
  throw new BackupError("InvalidRequestError", `${JSON.stringify(key)} is not a segment's key`, {
    hint: "A key looks like topics/orders/partition=0/segment-00000000000000000000-….zst.",
  });
}

async function manifestOf(
  catalog: Catalog,
  { backup_id, generation }: InspectRequest,
): Promise<Manifest> {
  const stored =
    generation === undefined
      ? await catalog.latestManifest(backup_id)
      : await catalog.readManifest(backup_id, generation);
  if (stored !== undefined) return stored.manifest;
  const message = `no committed backup has the id "${backup_id}"`;
  throw new BackupError("BackupNotFoundError", message);
}

/** Undefined where the manifest lacks the partition: `segmentsOf` says so. */
function newestLineage(manifest: Manifest, request: InspectRequest): number | undefined {
  if (request.lineage !== undefined) return request.lineage;
  return statesOf(manifest, request).at(-1)?.lineage;
}

function statesOf(manifest: Manifest, { topic, partition }: TopicPartition): LineageState[] {
  const states = manifest.topics.find(({ name }) => name === topic)?.partitions;
  return states?.find((state) => state.partition === partition)?.lineages ?? [];
}

function lineageState(manifest: Manifest, at: TopicPartition, lineage: number): LineageState {
  return statesOf(manifest, at).find((state) => state.lineage === lineage)!;
}

function noSuchSegment(manifest: Manifest, { segment }: InspectRequest): BackupError {
  return new BackupError(
    "SegmentNotFoundError",
    `manifest ${manifest.generation} of backup "${manifest.backup_id}" names no segment ${segment}`,
    { hint: "What no manifest names is left from an interrupted run; `validate` lists it." },
  );
}

async function readSegment(
  { storage }: InspectDeps,
  { backup_id }: Manifest,
  entry: SegmentEntry,
  state: LineageState,
  page: Page,
  { signal }: Deadline,
): Promise<void> {
  if (!page.wants(entry.end_offset, entry.end_timestamp)) return;
  const index = await readIndex(storage, inBackup(backup_id, indexKeyOf(entry.key)), entry);
  const valid = validOffsets(state, 0n);
  const isWanted = ({ end_offset, max_timestamp }: FrameEntry) =>
    page.wants(end_offset, max_timestamp);
  for (const frame of index.frames) {
    signal.throwIfAborted();
    if (page.isFull) return;
    if (!isWanted(frame)) continue;
    const key = inBackup(backup_id, entry.key);
    for await (const { batches } of readFrames(storage, key, index, (each) => each === frame)) {
      forEachBatch(batches, (header, position) => {
        if (page.isFull || !page.wants(lastOffsetOf(header), header.maxTimestamp)) return;
        page.readBatch(header, batches, position, valid.has, entry.key);
      });
    }
  }
}

/** The records that are shown, as they are met in ascending order of offsets. */
class Page {
  readonly records: InspectedRecord[] = [];
  next: bigint | undefined;
  isFull = false;
  readonly #request: InspectRequest;

  constructor(request: InspectRequest) {
    this.#request = request;
  }

  /** Whether records up to `endOffset`, none of them newer than `maxTimestamp`, may be among them. */
  wants(endOffset: bigint, maxTimestamp: bigint): boolean {
    const { from_offset = 0n } = this.#request;
    return endOffset >= from_offset && this.#hasBegun(maxTimestamp);
  }

  readBatch(
    header: RecordBatchHeader,
    batches: Buffer,
    position: number,
    isValid: (offset: bigint) => boolean,
    segment: string,
  ): void {
    const { from_offset = 0n, to_offset, records_max } = this.#request;
    const body = bodyOf(header, batches, position, this.#request, batchBodyBytesMax);
    const cursor = new RecordCursor(header, body, this.#request);
    while (cursor.next()) {
      const { offset, timestamp } = cursor;
      if (offset < from_offset || !isValid(offset) || !this.#hasBegun(timestamp)) continue;
      if (to_offset !== undefined && offset > to_offset) {
        this.isFull = true;
        return;
      }
      if (this.records.length === records_max) {
        this.next = offset;
        this.isFull = true;
        return;
      }
      this.records.push(this.#shown(header, cursor, segment));
    }
  }

  /** Times of records need not ascend: what follows the first is shown whatever its time. */
  #hasBegun(timestamp: bigint): boolean {
    const { from_time } = this.#request;
    return from_time === undefined || this.records.length > 0 || timestamp >= from_time;
  }

  #shown(header: RecordBatchHeader, cursor: RecordCursor, segment: string): InspectedRecord {
    const { form, bytes_max } = this.#request;
    const shown = (bytes: Buffer | null) =>
      bytes === null ? null : shownBytes(bytes, form, bytes_max);
    const { offset, timestamp, key, value, headers } = recordOf(cursor);
    return {
      ...{ offset, timestamp },
      timestamp_type: isLogAppendTime(header) ? "log-append" : "create",
      key: shown(key),
      value: shown(value),
      headers: headers.map((each) => ({
        key: shownBytes(each.key, form, bytes_max),
        value: shown(each.value),
      })),
      batch: {
        base_offset: header.baseOffset,
        last_offset: lastOffsetOf(header),
        codec: codecOf(header) ?? "none",
        bytes: header.sizeInBytes,
        ...(header.producerId >= 0n && { producer_id: header.producerId }),
        leader_epoch: header.partitionLeaderEpoch,
      },
      segment,
    };
  }
}
