/**
 * The index of a segment: what each of its frames holds and where it lies, so that one offset or
 * one time is read with one ranged GET. Byte tables are in docs/format.md.
 */
import { z } from "zod";
import { formatVersion, type SegmentEntry } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import { int64, toPrettyJson } from "#core/json.ts";
import { frameCodecNames } from "#core/segment/codecs.ts";
import { frameBytesMax } from "#core/segment/frame-codecs.ts";

const count = z.int().min(0);

export const frameEntry = z.object({
  /** Base offset of the first batch. */
  start_offset: int64,
  /** Inclusive: the last offset that the last batch covers. */
  end_offset: int64,
  /** The largest maxTimestamp of the batches. */
  max_timestamp: int64,
  record_count: count,
  batch_count: z.int().min(1),
  /** Of the frame's first byte in the segment. */
  position: count,
  stored_bytes: z.int().min(1).max(frameBytesMax),
  /** Bytes of the batches, which are the content of the frame. */
  batch_bytes: z.int().min(1).max(frameBytesMax),
  /** Of the stored bytes. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits"),
});
export type FrameEntry = z.infer<typeof frameEntry>;

export const segmentIndex = z.object({
  format_version: z.literal(formatVersion),
  /** File name of the segment, without folders. */
  segment: z.string(),
  codec: z.enum(frameCodecNames),
  topic: z.string(),
  partition: count,
  base_offset: int64,
  frames: z.array(frameEntry).min(1),
});
export type SegmentIndex = z.infer<typeof segmentIndex>;

/**
 * A segment of the largest configurable size, 4 GiB, has some 1,000 frames of at most 400 bytes
 * of index each; frames of one huge batch are fewer. 16 MiB is 40 times that.
 */
export const indexBytesMax = 16 * 1024 * 1024;

/** The stored bytes of an index. */
export function encodeIndex(index: SegmentIndex): Buffer {
  return Buffer.from(toPrettyJson(index));
}

/**
 * Reads an index and checks that its frames follow each other without holes in the segment and in
 * ascending order of offsets. `key` is for messages. Throws UnsupportedFormatVersionError for one
 * of a later version, else CorruptSegmentError.
 */
export function decodeIndex(bytes: Buffer, key: string): SegmentIndex {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (error) {
    throw corrupt(key, `is not JSON: ${(error as Error).message}`, error);
  }
  refuseLaterVersion(json, key);
  const parsed = segmentIndex.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw corrupt(key, `${issue?.path.join(".")}: ${issue?.message}`, parsed.error);
  }
  checkOrder(parsed.data, key);
  return parsed.data;
}

function refuseLaterVersion(json: unknown, key: string): void {
  const version = (json as { format_version?: unknown } | null)?.format_version;
  if (typeof version !== "number" || version <= formatVersion) return;
  throw new BackupError(
    "UnsupportedFormatVersionError",
    `index ${key} has format version ${version}, this software reads up to ${formatVersion}`,
  );
}

function checkOrder(index: SegmentIndex, key: string): void {
  if (index.frames[0]!.start_offset !== index.base_offset) {
    throw corrupt(key, "the first frame does not begin at base_offset");
  }
  let position = 0;
  let nextOffset = index.base_offset;
  for (const [number, frame] of index.frames.entries()) {
    if (frame.position !== position) {
      throw corrupt(key, `frame ${number} is at ${frame.position}, not at ${position}`);
    }
    if (frame.start_offset < nextOffset || frame.end_offset < frame.start_offset) {
      throw corrupt(key, `the offsets of frame ${number} are not in ascending order`);
    }
    position += frame.stored_bytes;
    nextOffset = frame.end_offset + 1n;
  }
}

/**
 * Throws CorruptSegmentError unless the index is of the segment that the run list names in `entry`:
 * its name, offsets, time and sums.
 */
export function checkIndexAgainst(entry: SegmentEntry, index: SegmentIndex, key: string): void {
  const differing = differingField(entry, index);
  if (differing === undefined) return;
  throw corrupt(key, `its frames contradict the run list in ${differing}`);
}

function differingField(entry: SegmentEntry, { segment, frames }: SegmentIndex) {
  if (segment !== fileNameOf(entry.key)) return "key";
  if (frames[0]!.start_offset !== entry.start_offset) return "start_offset";
  if (frames.at(-1)!.end_offset !== entry.end_offset) return "end_offset";
  if (frames.every((frame) => frame.max_timestamp !== entry.end_timestamp)) return "end_timestamp";
  if (frames.some((frame) => frame.max_timestamp > entry.end_timestamp)) return "end_timestamp";
  for (const field of ["record_count", "batch_count", "batch_bytes", "stored_bytes"] as const) {
    const sum = frames.reduce((total, frame) => total + frame[field], 0);
    if (sum !== entry[field]) return field;
  }
  return undefined;
}

/** The last part of a key. */
export function fileNameOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

function corrupt(key: string, reason: string, cause?: unknown): BackupError {
  return new BackupError("CorruptSegmentError", `index ${key}: ${reason}`, { cause });
}
