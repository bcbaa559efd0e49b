/**
 * Writes one segment: frames of whole record batches, and the index of them. Order matters for
 * crashes: the segment is durable before its index, and both before the caller names them in a
 * checkpoint (C1).
 */
import { createHash } from "node:crypto";
import { formatVersion, type SegmentEntry } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import { codecOf, lastOffsetOf, type RecordBatchHeader } from "#core/kafka/record-batch.ts";
import type { FrameCodec } from "#core/segment/codecs.ts";
import {
  batchBytesMax,
  compressFrame,
  frameFormats,
  storeFrame,
} from "#core/segment/frame-codecs.ts";
import { appendPiece, joinSmall, lengthOf, type Pieces } from "#core/segment/pieces.ts";
import { encodeIndex, type FrameEntry, fileNameOf } from "#core/segment/segment-index.ts";
import type { ObjectWriter, StorageBackend } from "#core/storage/backend.ts";
import { inBackup, indexKey, segmentKey } from "#core/storage/keys.ts";

/**
 * Bytes of batches in a frame; more only where a single batch is larger. Ratio and speed of the
 * codecs hardly grow beyond 1 MiB, memory does; a look at one offset reads one frame.
 */
export const frameBatchBytes = 1024 * 1024;

/**
 * Frames closed but not yet taken over by the store: one that is written while the next is
 * compressed. With the one that is being filled, a writer holds three frames, about 3 MiB.
 */
export const framesInFlightMax = 2;

/** Joining slices smaller than this costs less than hashing and writing each by itself. */
const pieceBytesMin = 16 * 1024;

export interface SegmentOptions {
  readonly backupId: string;
  readonly topic: string;
  readonly partition: number;
  /** Of the first batch that will be appended. */
  readonly baseOffset: bigint;
  /** Unique for each attempt: no two writers ever mean the same key. */
  readonly attempt: string;
  readonly codec: FrameCodec;
  /** The codec's default when undefined. */
  readonly level?: number | undefined;
  /**
   * `never` stores a frame as it is when most of its bytes are in batches that their producers
   * compressed; `frame` compresses every frame.
   */
  readonly recompress: "never" | "frame";
}

/** What is known of a frame before it is encoded. */
type FrameContent = Omit<FrameEntry, "position" | "stored_bytes" | "sha256">;

interface OpenFrame extends FrameContent {
  /** Bytes of the batches that are compressed. */
  compressedBytes: number;
  readonly pieces: Buffer[];
}

const settled = Promise.resolve();

/** Open from `open` to `finish` or `abort`. Calls must not overlap: await each. */
export class SegmentWriter {
  readonly #storage: StorageBackend;
  readonly #object: ObjectWriter;
  readonly #options: SegmentOptions;
  /** Relative to the backup. */
  readonly #key: string;
  readonly #hash = createHash("sha256");
  readonly #frames: FrameEntry[] = [];
  readonly #leaderEpochs: SegmentEntry["leader_epochs"] = [];
  /** Of the frames in flight, oldest first. None rejects: `#failure` tells. */
  readonly #inFlight: Promise<void>[] = [];
  /** The first thing that went wrong, or undefined. */
  #failure: { readonly error: unknown } | undefined;
  #open: OpenFrame | undefined;
  #endOffset: bigint | undefined;
  #isCommitted = false;
  #batchBytes = 0;
  #storedBytes = 0;

  private constructor(storage: StorageBackend, object: ObjectWriter, options: SegmentOptions) {
    this.#storage = storage;
    this.#object = object;
    this.#options = options;
    this.#key = segmentKey(options, frameFormats[options.codec].extension);
  }

  /** Throws what the storage throws, and InvalidRequestError for an impossible key. */
  static async open(storage: StorageBackend, options: SegmentOptions): Promise<SegmentWriter> {
    const key = segmentKey(options, frameFormats[options.codec].extension);
    const object = await storage.createStream(inBackup(options.backupId, key));
    return new SegmentWriter(storage, object, options);
  }

  /** Bytes of the batches appended so far: by them, and by time, the caller decides to finish. */
  get batchBytes(): number {
    return this.#batchBytes;
  }

  /**
   * Adds a batch, whose memory must not change until `finish`; `header` is what
   * `readBatchHeader` gives for it. Resolves when the next batch may come. Throws
   * CorruptRecordBatchError for one that does not follow the last, and what writing threw.
   */
  append(batch: Buffer, header: RecordBatchHeader): Promise<void> {
    try {
      this.#check(batch, header);
      const isFull =
        this.#open !== undefined && this.#open.batch_bytes + batch.length > frameBatchBytes;
      if (isFull) {
        if (this.#inFlight.length >= framesInFlightMax) return this.#appendLater(batch, header);
        this.#closeFrame();
      }
      this.#add(batch, header);
      return settled;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Publishes the segment, then its index. Idempotent for the store: where the same bytes exist
   * under the key (an answer was lost) it succeeds, where others do it throws
   * BackupConflictError. After an error only `abort` may follow.
   */
  async finish(): Promise<SegmentEntry> {
    if (this.#open === undefined) {
      throw new BackupError("InvalidRequestError", `segment ${this.#key} has no batches`);
    }
    this.#closeFrame();
    await Promise.all(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure.error;
    const sha256 = this.#hash.digest("hex");
    const key = inBackup(this.#options.backupId, this.#key);
    const outcome = await this.#object.commit();
    this.#isCommitted = true;
    if (outcome === "exists") {
      await checkSameObject(this.#storage, key, this.#storedBytes, sha256);
    }
    const { bytes, hash } = await this.#writeIndex();
    return this.#entry(sha256, bytes, hash);
  }

  /** Discards what was not published. Never throws; may be called again, and after `finish`. */
  async abort(): Promise<void> {
    this.#failure ??= { error: new BackupError("CancelledError", `${this.#key} was discarded`) };
    await Promise.all(this.#inFlight);
    this.#open = undefined;
    if (!this.#isCommitted) await this.#object.abort();
  }

  #check(batch: Buffer, header: RecordBatchHeader): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    const { topic, partition, baseOffset } = this.#options;
    const where = `${topic}-${partition} offset ${header.baseOffset}`;
    if (batch.length !== header.sizeInBytes || batch.length > batchBytesMax) {
      const reason = `${batch.length} bytes, its header says ${header.sizeInBytes}`;
      const limit = `at most ${batchBytesMax} fit into a segment`;
      throw new BackupError("CorruptRecordBatchError", `${where}: ${reason}; ${limit}`);
    }
    const isNext =
      this.#endOffset === undefined
        ? header.baseOffset === baseOffset
        : header.baseOffset > this.#endOffset;
    if (!isNext || header.lastOffsetDelta < 0) {
      const last = this.#endOffset ?? baseOffset - 1n;
      throw new BackupError("CorruptRecordBatchError", `${where}: does not follow offset ${last}`);
    }
  }

  async #appendLater(batch: Buffer, header: RecordBatchHeader): Promise<void> {
    while (this.#inFlight.length >= framesInFlightMax) await this.#inFlight[0];
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#closeFrame();
    this.#add(batch, header);
  }

  #add(batch: Buffer, header: RecordBatchHeader): void {
    this.#open ??= {
      start_offset: header.baseOffset,
      end_offset: header.baseOffset,
      max_timestamp: header.maxTimestamp,
      record_count: 0,
      batch_count: 0,
      batch_bytes: 0,
      compressedBytes: 0,
      pieces: [],
    };
    const frame = this.#open;
    frame.end_offset = lastOffsetOf(header);
    if (header.maxTimestamp > frame.max_timestamp) frame.max_timestamp = header.maxTimestamp;
    frame.record_count += header.recordCount;
    frame.batch_count += 1;
    frame.batch_bytes += batch.length;
    if (codecOf(header) !== "none") frame.compressedBytes += batch.length;
    appendPiece(frame.pieces, batch);
    this.#endOffset = frame.end_offset;
    this.#batchBytes += batch.length;
    const epoch = header.partitionLeaderEpoch;
    if (this.#leaderEpochs.at(-1)?.epoch !== epoch) {
      this.#leaderEpochs.push({ epoch, start_offset: header.baseOffset });
    }
  }

  /** Begins to encode the open frame, and has it written when those before it are. */
  #closeFrame(): void {
    if (this.#open === undefined) return;
    const { pieces, compressedBytes, ...content } = this.#open;
    this.#open = undefined;
    const encoded = this.#encode(joinSmall(pieces, pieceBytesMin), compressedBytes);
    encoded.catch(() => {}); // Seen by `#writeAfter`, when the frames before are written.
    const before = this.#inFlight.at(-1) ?? settled;
    const written = this.#writeAfter(before, encoded, content).catch((error) => {
      this.#failure ??= { error };
    });
    this.#inFlight.push(written);
    void written.then(() => this.#inFlight.shift());
  }

  async #encode(pieces: Pieces, compressedBytes: number): Promise<Pieces> {
    const { codec, level, recompress } = this.#options;
    const isCompressed = compressedBytes * 2 > lengthOf(pieces);
    return recompress === "never" && isCompressed
      ? storeFrame(codec, pieces)
      : compressFrame(codec, pieces, level);
  }

  async #writeAfter(
    before: Promise<void>,
    encoded: Promise<Pieces>,
    content: FrameContent,
  ): Promise<void> {
    await before;
    if (this.#failure !== undefined) return;
    const pieces = await encoded;
    const position = this.#storedBytes;
    const stored_bytes = lengthOf(pieces);
    this.#frames.push({ ...content, position, stored_bytes, sha256: this.#hashFrame(pieces) });
    this.#storedBytes += stored_bytes;
    for (const piece of pieces) {
      if (this.#failure !== undefined) return;
      await this.#object.write(piece);
    }
  }

  /**
   * Of the frame; the segment's hash goes on. The first frame is hashed once for both, which is
   * all there is in the small segments of a quiet topic.
   */
  #hashFrame(pieces: Pieces): string {
    const hash = this.#frames.length > 0 ? createHash("sha256") : undefined;
    for (const piece of pieces) {
      this.#hash.update(piece);
      hash?.update(piece);
    }
    return (hash ?? this.#hash.copy()).digest("hex");
  }

  async #writeIndex(): Promise<{ bytes: number; hash: string }> {
    const { backupId, codec, topic, partition, baseOffset } = this.#options;
    const body = encodeIndex({
      format_version: formatVersion,
      segment: fileNameOf(this.#key),
      codec,
      topic,
      partition,
      base_offset: baseOffset,
      frames: this.#frames,
    });
    const hash = createHash("sha256").update(body).digest("hex");
    const key = inBackup(backupId, indexKey(this.#options));
    if ((await this.#storage.createIfAbsent(key, body)) === "exists") {
      await checkSameObject(this.#storage, key, body.length, hash);
    }
    return { bytes: body.length, hash };
  }

  #entry(sha256: string, indexBytes: number, indexSha256: string): SegmentEntry {
    const frames = this.#frames;
    const sum = (field: "record_count" | "batch_count") =>
      frames.reduce((total, frame) => total + frame[field], 0);
    return {
      key: this.#key,
      start_offset: frames[0]!.start_offset,
      end_offset: frames.at(-1)!.end_offset,
      end_timestamp: frames.reduce(
        (newest, { max_timestamp }) => (max_timestamp > newest ? max_timestamp : newest),
        frames[0]!.max_timestamp,
      ),
      record_count: sum("record_count"),
      batch_count: sum("batch_count"),
      batch_bytes: this.#batchBytes,
      stored_bytes: this.#storedBytes,
      sha256,
      index_bytes: indexBytes,
      index_sha256: indexSha256,
      leader_epochs: this.#leaderEpochs,
    };
  }
}

const compareBytes = 8 * 1024 * 1024;

/** Throws BackupConflictError unless the object has that size and hash. */
async function checkSameObject(
  storage: StorageBackend,
  key: string,
  bytes: number,
  sha256: string,
): Promise<void> {
  const hash = createHash("sha256");
  let position = 0;
  // One byte more than expected is asked for: a longer object is another one.
  while (position <= bytes) {
    const wanted = Math.min(compareBytes, bytes + 1 - position);
    const chunk = await storage.getRange(key, position, wanted);
    hash.update(chunk);
    position += chunk.length;
    if (chunk.length < wanted) break;
  }
  if (position === bytes && hash.digest("hex") === sha256) return;
  throw new BackupError("BackupConflictError", `${key} exists with other content`);
}
