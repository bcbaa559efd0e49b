/**
 * Compares what a restored partition holds with what the backup says it should hold, record by
 * record. Batches that came back with the bytes that were sent are equal without a look inside;
 * where the borders of batches differ, as after a resume, both sides are decoded.
 */
import { BackupError } from "#core/errors.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { pacedFetch } from "#core/kafka/paced-fetch.ts";
import {
  batchHeaderBytes,
  batchSizeAt,
  lastOffsetOf,
  type RecordBatchHeader,
  readBatchHeader,
} from "#core/kafka/record-batch.ts";
import { differingField, isSameBatch, RecordReader } from "#core/restore/compare-batches.ts";
import type {
  RestoreDeps,
  VerifyPartitionOutcome,
  VerifyPartitionRequest,
} from "#core/restore/contract.ts";
import type { PartitionResult } from "#core/restore/documents.ts";
import { type OutputBatch, OutputBatches, type SourceRun } from "#core/restore/output-batches.ts";
import { PartitionProgress } from "#core/restore/partition-progress.ts";
import { openSource, type PartitionSource } from "#core/restore/partition-source.ts";
import { validOffsets } from "#core/restore/source-range.ts";
import { type Deadline, deadlineAt } from "#core/runtime.ts";

/** As much as a frame of the backup that it is compared with. */
const fetchBytesMax = 1024 * 1024;
const fetchWaitMs = 500;
/** A broker that has the records and does not send them for this long is not well. */
const stallMs = 60_000;

/**
 * Verifies a partition that `restorePartition` finished, from `cursor` on. Throws
 * VerificationFailedError with the first differing offset and field (R10).
 */
export async function verifyPartition(
  deps: RestoreDeps,
  request: VerifyPartitionRequest,
  deadline: Deadline,
): Promise<VerifyPartitionOutcome> {
  const result = await new PartitionProgress(deps, request).result();
  if (result === undefined) {
    const place = `${request.target_topic}-${request.target_partition}`;
    throw new BackupError("InvalidRequestError", `${place} is not restored yet: nothing to verify`);
  }
  const source = await openSource(deps, request);
  return new PartitionVerification(deps, request, result, source).run(deadline);
}

class PartitionVerification {
  readonly #deps: RestoreDeps;
  readonly #request: VerifyPartitionRequest;
  readonly #result: PartitionResult;
  readonly #source: PartitionSource;
  readonly #at: TopicPartition;
  readonly #from: TopicPartition;
  #recordCount: bigint;
  #nextOffset: bigint;

  constructor(
    deps: RestoreDeps,
    request: VerifyPartitionRequest,
    result: PartitionResult,
    source: PartitionSource,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#result = result;
    this.#source = source;
    this.#at = { topic: request.target_topic, partition: request.target_partition };
    this.#from = { topic: request.source_topic, partition: request.source_partition };
    this.#recordCount = request.cursor?.record_count ?? 0n;
    this.#nextOffset = request.cursor?.next_offset ?? source.lineage.start_offset;
  }

  async run(deadline: Deadline): Promise<VerifyPartitionOutcome> {
    const target = this.#targetBatches(deadline.signal);
    /** Rest of the target's current batch, where it is compared record by record. */
    let rest: RecordReader | undefined;
    for await (const output of this.#expectedBatches()) {
      const isBetweenBatches = rest === undefined || rest.isAtEnd;
      if (isBetweenBatches) {
        if (deadline.passed()) return this.#continueLater();
        const { value: found } = await target.next();
        if (found === undefined) throw this.#missing(output);
        if (this.#isSameBatch(output, found)) {
          this.#advance(output);
          continue;
        }
        rest = this.#readerOf(found);
      }
      rest = await this.#compareRecords(output, rest!, target);
      this.#advance(output);
    }
    const isComplete = this.#recordCount === this.#result.record_count;
    if (!isComplete || (rest !== undefined && !rest.isAtEnd)) throw this.#wrongCount();
    return { status: "verified", record_count: this.#recordCount };
  }

  #continueLater(): VerifyPartitionOutcome {
    return {
      status: "continue",
      record_count: this.#recordCount,
      next_offset: this.#nextOffset,
    };
  }

  #advance(output: OutputBatch): void {
    this.#recordCount += BigInt(output.recordCount);
    this.#nextOffset = output.nextOffset;
    const { topic, partition } = this.#at;
    const { recordCount: records, batch } = output;
    this.#deps.onProgress?.({ kind: "advanced", topic, partition, records, bytes: batch.length });
  }

  async *#expectedBatches(): AsyncGenerator<OutputBatch, void, undefined> {
    const from = this.#nextOffset;
    const outputs = new OutputBatches({
      at: this.#from,
      window: this.#request.window,
      valid: validOffsets(this.#source.lineage, from),
      maxMessageBytes: this.#request.max_message_bytes,
      coalesceBelowBytes: this.#request.coalesce_below_bytes,
      includeOffsetHeaders: this.#request.include_offset_headers,
      skipRecords: 0n,
      onSkipped: () => {},
    });
    for await (const frame of this.#source.frames(from)) {
      for (let position = 0; position < frame.length; ) {
        const header = readBatchHeader(frame, position);
        const batch = frame.subarray(position, position + header.sizeInBytes);
        position += header.sizeInBytes;
        if (lastOffsetOf(header) >= from) yield* outputs.push(batch, header);
      }
    }
    yield* outputs.flush();
  }

  /** The target's batches from the first record not yet verified to the restored end. */
  async *#targetBatches(signal: AbortSignal): AsyncGenerator<FoundBatch, undefined, undefined> {
    const { start_offset, end_offset } = this.#result;
    const { clock } = this.#deps;
    let offset = start_offset + this.#recordCount;
    let progressAtMs = clock.monotonicMs();
    while (offset < end_offset) {
      const request = {
        ...this.#at,
        fetchOffset: offset,
        currentLeaderEpoch: -1,
        maxBytes: fetchBytesMax,
        minBytes: 1,
        maxWaitMs: fetchWaitMs,
        isolation: "read_uncommitted",
      } as const;
      // Between two batches the deadline ends the turn; within one only who aborts it does.
      const paced = await pacedFetch(this.#deps, request, deadlineAt(clock, Infinity, signal));
      if (paced === undefined) throw signal.reason;
      const { records, throttleTimeMs } = paced.fetched;
      progressAtMs += paced.heldMs;
      // The next request leaves when the broker's throttling is over (KIP-219).
      if (throttleTimeMs > 0) progressAtMs = clock.monotonicMs() + throttleTimeMs;
      for (let position = 0; offset < end_offset; ) {
        const size = batchSizeAt(records, position);
        if (size === undefined) break;
        if (size < batchHeaderBytes) checkBatch(records, position, this.#at); // Throws.
        const header = readBatchHeader(records, position);
        if (lastOffsetOf(header) >= offset) {
          yield { buffer: records, position, header };
          offset = lastOffsetOf(header) + 1n;
          progressAtMs = clock.monotonicMs();
        }
        position += size;
      }
      if (clock.monotonicMs() - progressAtMs > stallMs) throw this.#stalled(offset);
    }
    return undefined;
  }

  #isSameBatch(output: OutputBatch, { buffer, position, header }: FoundBatch): boolean {
    const targetOffset = this.#result.start_offset + this.#recordCount;
    return header.baseOffset === targetOffset && isSameBatch(output.batch, buffer, position);
  }

  #stalled(offset: bigint): BackupError {
    return new BackupError(
      "BrokerUnavailableError",
      `${this.#at.topic}-${this.#at.partition}: no record batch at offset ${offset} for ` +
        `${stallMs / 1000} s, though records up to ${this.#result.end_offset} were acknowledged`,
    );
  }

  #readerOf({ buffer, position, header }: FoundBatch): RecordReader {
    checkBatch(buffer, position, this.#at);
    return new RecordReader(header, buffer, position, this.#at);
  }

  /** Returns the target's batch where it goes on after the last record of `output`. */
  async #compareRecords(
    output: OutputBatch,
    reader: RecordReader,
    target: AsyncGenerator<FoundBatch, undefined, undefined>,
  ): Promise<RecordReader> {
    let found = reader;
    const expected = new RecordReader(readBatchHeader(output.batch), output.batch, 0, this.#from);
    const sources = sourceOffsets(output.sources);
    for (let i = 0n; expected.next(); i++) {
      while (found.isAtEnd) {
        const { value: next } = await target.next();
        if (next === undefined) throw this.#missing(output);
        found = this.#readerOf(next);
      }
      found.next();
      const targetOffset = this.#result.start_offset + this.#recordCount + i;
      const source = sources.next().value;
      const field = differingField(expected.cursor, found.cursor, targetOffset);
      if (field !== undefined) throw this.#differs(targetOffset, source, field);
    }
    return found;
  }

  #differs(offset: bigint, source: bigint | undefined, field: string): BackupError {
    const { topic, partition } = this.#at;
    return new BackupError(
      "VerificationFailedError",
      `${topic}-${partition}: the record at offset ${offset} has another ${field} than the one at ` +
        `offset ${source} of ${this.#from.topic}-${this.#from.partition} in the backup`,
      { details: { topic, partition, offset, field } },
    );
  }

  #missing(output: OutputBatch): BackupError {
    const { topic, partition } = this.#at;
    return new BackupError(
      "VerificationFailedError",
      `${topic}-${partition}: ends at offset ${this.#result.end_offset}, but the backup goes on at ` +
        `source offset ${output.sources[0]?.offset}`,
    );
  }

  #wrongCount(): BackupError {
    const { topic, partition } = this.#at;
    return new BackupError(
      "VerificationFailedError",
      `${topic}-${partition}: ${this.#result.record_count} records were restored, but the backup ` +
        `makes ${this.#recordCount}`,
    );
  }
}

interface FoundBatch {
  readonly buffer: Buffer;
  readonly position: number;
  readonly header: RecordBatchHeader;
}

function* sourceOffsets(runs: readonly SourceRun[]): Generator<bigint, undefined, undefined> {
  for (const { offset, count } of runs) {
    for (let i = 0n; i < count; i++) yield offset + i;
  }
  return undefined;
}
