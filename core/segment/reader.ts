/** Reads segments back: the index, and the frames that a caller wants, each checked by its hash. */
import { webcrypto } from "node:crypto";
import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import {
  batchHeaderBytes,
  batchSizeAt,
  type RecordBatchHeader,
  readBatchHeader,
} from "#core/kafka/record-batch.ts";
import { decompressFrame } from "#core/segment/frame-codecs.ts";
import { mapAhead } from "#core/segment/map-ahead.ts";
import {
  checkIndexAgainst,
  decodeIndex,
  type FrameEntry,
  indexBytesMax,
  type SegmentIndex,
} from "#core/segment/segment-index.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

/**
 * Neighbouring frames are joined into one GET up to this many stored bytes: two stored frames or
 * about nine compressed ones, so that a request's latency is paid once for them.
 */
const rangeBytesMax = 2 * 1024 * 1024;

/**
 * Ranges that are fetched before they are asked for. Together with the range in use, a frame being
 * decompressed and one at the consumer, a reader holds about 6 MiB.
 */
const defaultPrefetch = 1;

/**
 * The index of a segment, checked against what the run list says in `entry`. `key` is the index's,
 * relative to the storage's root. Throws SegmentNotFoundError, CorruptSegmentError or
 * UnsupportedFormatVersionError.
 */
export async function readIndex(
  storage: StorageBackend,
  key: string,
  entry: SegmentEntry,
): Promise<SegmentIndex> {
  if (entry.index_bytes > indexBytesMax) {
    const limit = `the limit is ${indexBytesMax}`;
    throw corrupt(`index ${key}: ${entry.index_bytes} bytes are recorded, ${limit}`);
  }
  const bytes = await getRange(storage, key, 0, entry.index_bytes + 1);
  if (bytes.length !== entry.index_bytes) {
    const found = bytes.length > entry.index_bytes ? "more" : `${bytes.length}`;
    throw corrupt(`index ${key}: ${entry.index_bytes} bytes are recorded, it has ${found}`);
  }
  await checkHash(bytes, entry.index_sha256, `index ${key}`);
  const index = decodeIndex(bytes, key);
  checkIndexAgainst(entry, index, key);
  return index;
}

export interface ReadFrame {
  readonly frame: FrameEntry;
  /** Whole record batches, end to end. The consumer may change them. */
  readonly batches: Buffer;
}

export interface ReadFramesOptions {
  /** Ranges fetched ahead of the consumer; default 1. */
  readonly prefetch?: number;
}

/**
 * Yields the frames of a segment for which `select` is true, in order. `key` is the segment's,
 * relative to the storage's root. Fetching, decompressing and the consumer overlap. When the
 * consumer stops early, requests under way are awaited and dropped. Throws SegmentNotFoundError,
 * CorruptSegmentError that names key, frame and position, and what the storage throws.
 */
export async function* readFrames(
  storage: StorageBackend,
  key: string,
  index: SegmentIndex,
  select: (frame: FrameEntry) => boolean,
  options: ReadFramesOptions = {},
): AsyncGenerator<ReadFrame, void, undefined> {
  const ahead = options.prefetch ?? defaultPrefetch;
  const ranges = joinIntoRanges(index, select);
  const fetched = mapAhead(ranges, ahead, (range) => fetchRange(storage, key, range));
  yield* mapAhead(framesOf(fetched), 1, (stored) => openFrame(key, index, stored));
}

interface NumberedFrame {
  readonly number: number;
  readonly frame: FrameEntry;
}

interface StoredFrame extends NumberedFrame {
  readonly stored: Buffer;
}

interface Range {
  readonly position: number;
  readonly length: number;
  readonly frames: readonly NumberedFrame[];
  /** The range ends where the segment does. */
  readonly isLast: boolean;
}

async function* joinIntoRanges(
  index: SegmentIndex,
  select: (frame: FrameEntry) => boolean,
): AsyncGenerator<Range, void, undefined> {
  let frames: NumberedFrame[] = [];
  let length = 0;
  const range = (isLast: boolean): Range => ({
    position: frames[0]!.frame.position,
    length,
    frames,
    isLast,
  });
  for (const [number, frame] of index.frames.entries()) {
    const isWanted = select(frame);
    const fits = isWanted && length + frame.stored_bytes <= rangeBytesMax;
    if (frames.length > 0 && !fits) {
      yield range(false);
      frames = [];
      length = 0;
    }
    if (isWanted) {
      frames.push({ number, frame });
      length += frame.stored_bytes;
    }
  }
  if (frames.length > 0) yield range(frames.at(-1)!.number === index.frames.length - 1);
}

/** One GET; of the last range it asks for a byte more, to notice a segment that is too long. */
async function fetchRange(
  storage: StorageBackend,
  key: string,
  { position, length, isLast, frames }: Range,
): Promise<StoredFrame[]> {
  const bytes = await getRange(storage, key, position, isLast ? length + 1 : length);
  const end = position + length;
  if (bytes.length > length) throw corrupt(`segment ${key} goes on after its end at ${end}`);
  if (bytes.length < length) {
    const found = position + bytes.length;
    throw corrupt(`segment ${key} ends at ${found}, its index goes on to ${end}`);
  }
  return frames.map(({ number, frame }) => {
    const start = frame.position - position;
    return { number, frame, stored: bytes.subarray(start, start + frame.stored_bytes) };
  });
}

async function* framesOf(
  ranges: AsyncGenerator<StoredFrame[], void, undefined>,
): AsyncGenerator<StoredFrame, void, undefined> {
  for await (const frames of ranges) yield* frames;
}

async function openFrame(
  key: string,
  index: SegmentIndex,
  { number, frame, stored }: StoredFrame,
): Promise<ReadFrame> {
  const where = `segment ${key}, frame ${number} at ${frame.position}`;
  await checkHash(stored, frame.sha256, where);
  const batches = await decompressFrame(index.codec, stored, frame.batch_bytes, where);
  return { frame, batches };
}

/**
 * Calls back with each record batch of `batches` and where it begins. Throws
 * CorruptRecordBatchError where the bytes are not whole batches end to end.
 */
export function forEachBatch(
  batches: Buffer,
  callback: (header: RecordBatchHeader, position: number) => void,
): void {
  let position = 0;
  while (position < batches.length) {
    const left = batches.length - position;
    const size = batchSizeAt(batches, position);
    if (size === undefined || size < batchHeaderBytes) {
      const reason = `no whole record batch at byte ${position}, ${left} bytes before the end`;
      throw new BackupError("CorruptRecordBatchError", reason);
    }
    callback(readBatchHeader(batches, position), position);
    position += size;
  }
}

async function getRange(
  storage: StorageBackend,
  key: string,
  position: number,
  length: number,
): Promise<Buffer> {
  try {
    return await storage.getRange(key, position, length);
  } catch (error) {
    if (!isBackupError(error, "ObjectNotFoundError")) throw error;
    throw new BackupError("SegmentNotFoundError", error.message, { cause: error });
  }
}

/** In the threadpool, so that it overlaps with the consumer's own work. */
async function checkHash(bytes: Buffer, expected: string, where: string): Promise<void> {
  const digest = await webcrypto.subtle.digest("SHA-256", bytes as Buffer<ArrayBuffer>);
  const found = Buffer.from(digest).toString("hex");
  if (found !== expected) throw corrupt(`${where}: SHA-256 is ${found}, recorded is ${expected}`);
}

function corrupt(message: string): BackupError {
  return new BackupError("CorruptSegmentError", message);
}
