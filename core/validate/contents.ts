/** Every byte of a segment: hashes, frames, record batches, records. */
import { createHash } from "node:crypto";
import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { isBackupError } from "#core/errors.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import {
  batchHeaderBytes,
  batchSizeAt,
  lastOffsetOf,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";
import type { Deadline } from "#core/runtime.ts";
import { decompressFrame } from "#core/segment/frame-codecs.ts";
import type { FrameEntry, SegmentIndex } from "#core/segment/segment-index.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import type { FindingLog } from "#core/validate/finding-log.ts";
import { type FindingCode, finding } from "#core/validate/findings.ts";
import { placeOf, type ValidationItem } from "#core/validate/item.ts";

/** Bytes of one read where there is no index to say where frames lie. */
const chunkBytes = 4 * 1024 * 1024;

type LeaderEpochs = SegmentEntry["leader_epochs"];

/** What the batches of a frame were found to be, to compare with its index entry. */
interface FrameSums {
  start_offset: bigint | undefined;
  end_offset: bigint;
  max_timestamp: bigint;
  record_count: number;
  batch_count: number;
}

/**
 * Reads one segment from its first byte to its last, holding a frame stored and decompressed, and
 * the next one stored. All that is wrong goes to `log`; a bad frame does not hide the next.
 */
export class SegmentContents {
  readonly read = { bytes: 0, batches: 0, records: 0 };
  readonly #storage: StorageBackend;
  readonly #item: ValidationItem;
  readonly #log: FindingLog;
  /** From the storage's root. */
  readonly key: string;
  readonly #hash = createHash("sha256");
  readonly #leaderEpochs: LeaderEpochs = [];
  #minTimestamp: bigint | undefined;
  #nextOffset = -1n;
  /** Every batch so far could be read. */
  #isWhole = true;

  constructor(storage: StorageBackend, item: ValidationItem, log: FindingLog) {
    this.#storage = storage;
    this.#item = item;
    this.#log = log;
    this.key = inBackup(item.backup_id, item.segment.key);
  }

  /** Without an index only the hash of the whole segment can be told. */
  async check(index: SegmentIndex | undefined, deadline: Deadline): Promise<"done" | "continue"> {
    const end = index?.frames.length ?? Math.ceil(this.#item.segment.stored_bytes / chunkBytes);
    let ahead = this.#readPart(index, 0);
    for (let number = 0; number < end; number++) {
      deadline.signal.throwIfAborted();
      if (deadline.passed()) {
        await ahead.catch(() => {}); // Nobody waits for its answer any more.
        return "continue";
      }
      const stored = await ahead;
      ahead = this.#readPart(index, number + 1);
      ahead.catch(() => {}); // Thrown by the `await` above, in its turn.
      this.#hash.update(stored);
      this.read.bytes += stored.length;
      if (index !== undefined) await this.#checkFrame(index, number, stored);
    }
    await ahead;
    this.#checkWhole(index !== undefined);
    return "done";
  }

  #readPart(index: SegmentIndex | undefined, number: number): Promise<Buffer> {
    const frame = index?.frames[number];
    if (frame !== undefined) {
      return this.#storage.getRange(this.key, frame.position, frame.stored_bytes);
    }
    const position = number * chunkBytes;
    const left = index === undefined ? this.#item.segment.stored_bytes - position : 0;
    if (left <= 0) return Promise.resolve(Buffer.alloc(0));
    return this.#storage.getRange(this.key, position, Math.min(chunkBytes, left));
  }

  async #checkFrame(index: SegmentIndex, number: number, stored: Buffer): Promise<void> {
    const frame = index.frames[number]!;
    const where = `frame ${number} at byte ${frame.position} of segment ${this.key}`;
    const sha256 = createHash("sha256").update(stored).digest("hex");
    if (sha256 !== frame.sha256) {
      const message = `${where}: SHA-256 is ${sha256}, recorded is ${frame.sha256}`;
      this.#add("frame_damaged", message, frame.start_offset);
    }
    let batches: Buffer;
    try {
      batches = await decompressFrame(index.codec, stored, frame.batch_bytes, where);
    } catch (error) {
      if (!isBackupError(error, "CorruptSegmentError")) throw error;
      if (sha256 === frame.sha256) this.#add("frame_damaged", error.message, frame.start_offset);
      this.#isWhole = false;
      return;
    }
    this.#checkBatches(frame, batches, where);
  }

  #checkBatches(frame: FrameEntry, batches: Buffer, where: string): void {
    const sums: FrameSums = {
      start_offset: undefined,
      end_offset: -1n,
      max_timestamp: 0n,
      record_count: 0,
      batch_count: 0,
    };
    let isWhole = true;
    for (let position = 0; position < batches.length; ) {
      const header = this.#checkBatch(batches, position, frame);
      if (header === undefined) isWhole = false;
      else this.#follow(header, sums, where);
      const size = header?.sizeInBytes ?? batchSizeAt(batches, position);
      if (size === undefined || size < batchHeaderBytes) break;
      position += size;
    }
    if (isWhole) this.#compare(frame, sums, where);
    else this.#isWhole = false;
  }

  /** Undefined where the batch is damaged. */
  #checkBatch(batches: Buffer, position: number, frame: FrameEntry): RecordBatchHeader | undefined {
    let header: RecordBatchHeader;
    try {
      header = checkBatch(batches, position, this.#item);
    } catch (error) {
      if (!isBackupError(error, "CorruptRecordBatchError")) throw error;
      const { offset } = error.details;
      const known = typeof offset === "bigint" && offset >= 0n ? offset : frame.start_offset;
      this.#add("batch_damaged", error.message, known);
      return undefined;
    }
    this.#checkRecords(header, batches, position);
    return header;
  }

  #checkRecords(header: RecordBatchHeader, batches: Buffer, position: number): void {
    this.read.batches += 1;
    try {
      const body = bodyOf(header, batches, position, this.#item, batchBodyBytesMax);
      const cursor = new RecordCursor(header, body, this.#item);
      while (cursor.next()) {
        this.read.records += 1;
        const { timestamp } = cursor;
        if (this.#minTimestamp === undefined || timestamp < this.#minTimestamp) {
          this.#minTimestamp = timestamp;
        }
        if (timestamp <= header.maxTimestamp) continue;
        const bound = `after its batch's maxTimestamp ${header.maxTimestamp}`;
        const message = `record at offset ${cursor.offset} has timestamp ${timestamp}, ${bound}`;
        this.#add("records_damaged", message, header.baseOffset);
        return;
      }
    } catch (error) {
      if (!isBackupError(error, "CorruptRecordBatchError", "UnsupportedCodecError")) throw error;
      this.#add("records_damaged", error.message, header.baseOffset);
    }
  }

  #follow(header: RecordBatchHeader, sums: FrameSums, where: string): void {
    const { baseOffset, maxTimestamp, partitionLeaderEpoch } = header;
    if (baseOffset < this.#nextOffset) {
      const message = `${where}: batch at offset ${baseOffset} follows offset ${this.#nextOffset - 1n}`;
      this.#add("segment_contradicts", message, baseOffset);
    }
    this.#nextOffset = lastOffsetOf(header) + 1n;
    if (this.#leaderEpochs.at(-1)?.epoch !== partitionLeaderEpoch) {
      this.#leaderEpochs.push({ epoch: partitionLeaderEpoch, start_offset: baseOffset });
    }
    const isFirst = sums.start_offset === undefined;
    sums.start_offset ??= baseOffset;
    sums.end_offset = this.#nextOffset - 1n;
    if (isFirst || maxTimestamp > sums.max_timestamp) sums.max_timestamp = maxTimestamp;
    sums.record_count += header.recordCount;
    sums.batch_count += 1;
  }

  #compare(frame: FrameEntry, sums: FrameSums, where: string): void {
    for (const field of Object.keys(sums) as (keyof FrameSums)[]) {
      if (sums[field] === frame[field]) continue;
      const message = `${where}: its ${field} is ${sums[field]}, its index says ${frame[field]}`;
      this.#add("segment_contradicts", message, frame.start_offset);
    }
  }

  /** What only the whole segment shows. */
  #checkWhole(wasDecoded: boolean): void {
    const { segment } = this.#item;
    const sha256 = this.#hash.digest("hex");
    if (sha256 !== segment.sha256) {
      const message = `segment ${this.key}: SHA-256 is ${sha256}, recorded is ${segment.sha256}`;
      this.#add("segment_hash_differs", message, segment.start_offset);
    }
    if (!wasDecoded || !this.#isWhole) return;
    if (!sameEpochs(this.#leaderEpochs, segment.leader_epochs)) {
      const message = `segment ${this.key}: its leader epochs are not those of the run list`;
      this.#add("segment_contradicts", message, segment.start_offset);
    }
    const { start_timestamp: recorded } = segment;
    if (recorded !== undefined && recorded !== this.#minTimestamp) {
      const found = `its smallest timestamp is ${this.#minTimestamp}`;
      const message = `segment ${this.key}: ${found}, the run list says ${recorded}`;
      this.#add("segment_contradicts", message, segment.start_offset);
    }
  }

  #add(code: FindingCode, message: string, offset: bigint): void {
    this.#log.add(finding(code, message, placeOf(this.#item, this.key, offset)));
  }
}

function sameEpochs(a: LeaderEpochs, b: LeaderEpochs): boolean {
  return (
    a.length === b.length &&
    a.every(({ epoch, start_offset }, i) => {
      const other = b[i]!;
      return epoch === other.epoch && start_offset === other.start_offset;
    })
  );
}
