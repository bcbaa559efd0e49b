/**
 * Turns the record batches of a backup into the batches that a restore sends. Most pass as they
 * are; decoded are only those that must lose records (time window, offsets deleted at the source),
 * whose header would say something else in the target (holes, LogAppendTime, too large), and
 * consecutive small ones, which are coalesced so that round trips do not decide the time. Where
 * records are to get offset headers, every batch is decoded.
 *
 * The output *records* depend on manifest and request alone; where one batch ends and the next
 * begins may differ between attempts.
 */
import { BackupError } from "#core/errors.ts";
import { BatchBuilder, checkEncodedBatch } from "#core/kafka/batch-builder.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import { mustReencode } from "#core/kafka/batch-rewrite.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import {
  type BatchCodec,
  codecOf,
  lastOffsetOf,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import { OffsetHeaders } from "#core/restore/offset-headers.ts";
import type { ValidOffsets } from "#core/restore/source-range.ts";

/**
 * Batches below this size are coalesced. Decoding and encoding such a batch costs about what one
 * more produce request costs; larger ones are cheaper to send as they are.
 */
export const coalesceBelowBytesDefault = 4 * 1024;
/** Uncompressed bytes of a batch put together here; the broker's default max.message.bytes. */
const builtBytesMax = 1024 * 1024;
/** Bounds the memory of one batch's offsets, and what a consumer must take at once. */
const builtRecordsMax = 10_000;

/** `count` consecutive source offsets from `offset` on. */
export interface SourceRun {
  readonly offset: bigint;
  readonly count: number;
}

export interface OutputBatch {
  /** Whole; the header is still to be given its producer. The receiver owns it. */
  readonly batch: Buffer;
  readonly recordCount: number;
  readonly sources: readonly SourceRun[];
  /** All wanted records with source offsets below are in this batch or in earlier ones. */
  readonly nextOffset: bigint;
  readonly isRaw: boolean;
}

export interface OutputOptions {
  /** The source, for messages. */
  readonly at: TopicPartition;
  readonly window: TimeWindow;
  readonly valid: ValidOffsets;
  /** Bytes of a whole batch that the target takes. */
  readonly maxMessageBytes: number;
  /** Batches of several records have at most these bytes; `maxMessageBytes` when undefined. */
  readonly splitAboveBytes?: number | undefined;
  /** Batches of fewer bytes are coalesced; `coalesceBelowBytesDefault` when undefined. */
  readonly coalesceBelowBytes?: number | undefined;
  /** Whether each record gets the headers of `offset-headers.ts`. */
  readonly includeOffsetHeaders?: boolean | undefined;
  /** The first records of the output that are already in the target: told, not put into batches. */
  readonly skipRecords: bigint;
  readonly onSkipped: (run: SourceRun) => void;
}

export class OutputBatches {
  readonly #options: OutputOptions;
  readonly #offsetHeaders: OffsetHeaders | undefined;
  #toSkip: bigint;
  #builder: BatchBuilder | undefined;
  #builderCodec: BatchCodec = "none";
  #sources: SourceRun[] = [];
  #nextOffset = -1n;

  constructor(options: OutputOptions) {
    this.#options = options;
    if (options.includeOffsetHeaders) this.#offsetHeaders = new OffsetHeaders();
    this.#toSkip = options.skipRecords;
  }

  /** Records that should have been skipped and never came: the target holds more than the output. */
  get missingToSkip(): bigint {
    return this.#toSkip;
  }

  /** Adds the source's next batch and yields what is complete. Takes over the batch's bytes. */
  *push(batch: Buffer, header: RecordBatchHeader): Generator<OutputBatch> {
    if (this.#passesWhole(header)) {
      if (this.#toSkip >= BigInt(header.recordCount)) {
        this.#skip(header.baseOffset, header.recordCount);
        return;
      }
      const isRaw = this.#offsetHeaders === undefined && !this.#isSmall(header);
      if (isRaw && this.#toSkip === 0n) {
        yield* this.flush();
        yield rawBatch(batch, header);
        return;
      }
    }
    yield* this.#addRecords(batch, header);
  }

  /** Yields what is left at the end. */
  *flush(): Generator<OutputBatch> {
    const builder = this.#builder;
    if (builder === undefined || builder.recordCount === 0) return;
    const sources = this.#sources;
    const { recordCount } = builder;
    const batch = this.#finish(builder);
    builder.clear();
    this.#sources = [];
    yield { batch, recordCount, sources, nextOffset: this.#nextOffset, isRaw: false };
  }

  /** Data that a codec can only make larger goes uncompressed where that is what fits. */
  #finish(builder: BatchBuilder): Buffer {
    const { at, maxMessageBytes } = this.#options;
    const batch = builder.finish({ codec: this.#builderCodec });
    checkEncodedBatch(batch, builder.body, at);
    if (batch.length <= this.#splitAboveBytes) return batch;
    const isSmallerPlain = builder.sizeInBytes < batch.length;
    const smallest = isSmallerPlain ? builder.finish({ codec: "none" }) : batch;
    if (smallest.length <= maxMessageBytes) return smallest; // Of one record, if above the other.
    const withHeaders = this.#offsetHeaders === undefined ? "" : " with its offset headers";
    throw new BackupError(
      "RecordTooLargeError",
      `${at.topic}-${at.partition}: the record at offset ${this.#sources[0]?.offset} makes a batch ` +
        `of ${batch.length} bytes${withHeaders}; the target's max.message.bytes is ${maxMessageBytes}`,
      {
        hint:
          `Set max.message.bytes of the target topic to at least ${batch.length}` +
          `${withHeaders === "" ? "" : ", or restore without include_offset_headers"}.`,
      },
    );
  }

  get #splitAboveBytes(): number {
    const { splitAboveBytes, maxMessageBytes } = this.#options;
    return splitAboveBytes ?? maxMessageBytes;
  }

  #isSmall({ sizeInBytes }: RecordBatchHeader): boolean {
    const { coalesceBelowBytes = coalesceBelowBytesDefault } = this.#options;
    return sizeInBytes < coalesceBelowBytes;
  }

  /** Every record of the batch is wanted, and the target takes the batch as it is. */
  #passesWhole(header: RecordBatchHeader): boolean {
    const { window, valid } = this.#options;
    return (
      !mustReencode(header) &&
      window.start === undefined &&
      (window.end === undefined || header.maxTimestamp <= window.end) &&
      header.sizeInBytes <= this.#splitAboveBytes &&
      valid.isWhole(header.baseOffset, lastOffsetOf(header))
    );
  }

  *#addRecords(batch: Buffer, header: RecordBatchHeader): Generator<OutputBatch> {
    const { at } = this.#options;
    const body = bodyOf(header, batch, 0, at, batchBodyBytesMax);
    const codec = codecOf(header) ?? "none";
    const cursor = new RecordCursor(header, body, at);
    this.#builder ??= new BatchBuilder();
    if (!this.#keepsCodec(header, codec)) yield* this.flush();
    if (this.#builder.recordCount === 0) this.#builderCodec = codec;
    while (cursor.next()) {
      const { timestamp, offset } = cursor;
      if (!this.#wants(timestamp, offset)) continue;
      if (this.#toSkip > 0n) {
        this.#skip(offset, 1);
        continue;
      }
      if (!this.#fits(timestamp, this.#tailBytesOf(cursor))) {
        yield* this.flush();
        this.#builderCodec = codec;
      }
      this.#append(this.#builder, cursor, offset, timestamp);
      this.#addSource(offset);
      this.#nextOffset = offset + 1n;
    }
    this.#nextOffset = lastOffsetOf(header) + 1n;
  }

  /**
   * With offset headers large batches of whole topics are put together: they keep their codec.
   * Small ones take that of the batch that they join, as they do without.
   */
  #keepsCodec(header: RecordBatchHeader, codec: BatchCodec): boolean {
    if (this.#offsetHeaders === undefined) return true;
    return codec === this.#builderCodec || this.#isSmall(header);
  }

  #tailBytesOf(cursor: RecordCursor): number {
    return this.#offsetHeaders?.tailBytesOf(cursor) ?? cursor.tailEnd - cursor.tailStart;
  }

  #append(builder: BatchBuilder, cursor: RecordCursor, offset: bigint, timestamp: bigint): void {
    const headers = this.#offsetHeaders;
    if (headers === undefined) {
      builder.append(timestamp, cursor.body, cursor.tailStart, cursor.tailEnd);
      return;
    }
    headers.set(offset, timestamp);
    builder.appendWithHeaders(cursor, headers.bytes, headers.count);
  }

  #wants(timestamp: bigint, offset: bigint): boolean {
    const { window, valid } = this.#options;
    if (window.start !== undefined && timestamp < window.start) return false;
    if (window.end !== undefined && timestamp > window.end) return false;
    return valid.has(offset);
  }

  #fits(timestamp: bigint, tailBytes: number): boolean {
    const builder = this.#builder!;
    if (builder.recordCount === 0) return true;
    const limit = Math.min(builtBytesMax, this.#splitAboveBytes);
    return builder.recordCount < builtRecordsMax && builder.sizeWith(timestamp, tailBytes) <= limit;
  }

  #addSource(offset: bigint): void {
    const last = this.#sources.at(-1);
    if (last !== undefined && last.offset + BigInt(last.count) === offset) {
      this.#sources[this.#sources.length - 1] = { offset: last.offset, count: last.count + 1 };
    } else this.#sources.push({ offset, count: 1 });
  }

  #skip(offset: bigint, count: number): void {
    this.#toSkip -= BigInt(count);
    this.#options.onSkipped({ offset, count });
  }
}

function rawBatch(batch: Buffer, header: RecordBatchHeader): OutputBatch {
  const { baseOffset, recordCount } = header;
  return {
    batch,
    recordCount,
    sources: [{ offset: baseOffset, count: recordCount }],
    nextOffset: lastOffsetOf(header) + 1n,
    isRaw: true,
  };
}
