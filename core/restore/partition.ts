/**
 * The worker of a restore: sends one source partition's records to one target partition, each
 * exactly once, whatever happens in between.
 *
 * Record number i of the output is sequence `i mod 2^31` of the partition's own producer and must
 * land at offset B + i, where B is the log's end before the first produce. So the log's end says
 * how much is done, and a resume sends what is missing, from inside a batch if need be. Kafka's
 * own duplicate check is not relied on: it forgets a producer by the age of its *records*.
 */
import { BackupError, isBackupError } from "#core/errors.ts";
import { corruptBatch } from "#core/kafka/batch-check.ts";
import { batchSizeAt, lastOffsetOf, readBatchHeader } from "#core/kafka/record-batch.ts";
import type {
  RestoreDeps,
  RestorePartitionOutcome,
  RestorePartitionRequest,
} from "#core/restore/contract.ts";
import type { PartitionResult, PartitionStart, SentBatches } from "#core/restore/documents.ts";
import { OffsetMapBuilder } from "#core/restore/offset-map.ts";
import { type OutputBatch, OutputBatches } from "#core/restore/output-batches.ts";
import { PartitionProgress, type Restored } from "#core/restore/partition-progress.ts";
import { openSource, type PartitionSource } from "#core/restore/partition-source.ts";
import {
  foreignWriter,
  type Interruption,
  type PassEnd,
  ProducePass,
  type Refusal,
} from "#core/restore/produce-pass.ts";
import { validOffsets } from "#core/restore/source-range.ts";
import type { Deadline } from "#core/runtime.ts";

/** A checkpoint is written when this part of the interval is over: writing takes time as well. */
const checkpointAtShare = 0.75;
/** Passes that move nothing, one after the other, before the worker gives up: a minute. */
const idlePassesMax = 12;
const backoffMs = { first: 100, max: 10_000 };

/**
 * Restores the partition, or what earlier calls left of it, until all records are acknowledged or
 * the deadline comes. Every answer is awaited before it returns. Throws ForeignWriterError (R2),
 * RecordTooLargeError (R6), TopicChangedError, and what cluster, storage and segments throw.
 */
export async function restorePartition(
  deps: RestoreDeps,
  request: RestorePartitionRequest,
  deadline: Deadline,
): Promise<RestorePartitionOutcome> {
  const progress = new PartitionProgress(deps, request);
  const finished = await progress.result();
  if (finished !== undefined) return { status: "done", result: finished };
  const source = await openSource(deps, request);
  const start = await progress.claimStart();
  refuseOtherTopic(request, start);
  const restored = await progress.restored(source.lineage.start_offset);
  return new PartitionRestore(deps, request, progress, source, start, restored).run(deadline);
}

function refuseOtherTopic(request: RestorePartitionRequest, start: PartitionStart): void {
  if (start.topic_id === request.target_topic_id) return;
  throw topicChanged(request);
}

function topicChanged({ target_topic, restore_id }: RestorePartitionRequest): BackupError {
  return new BackupError(
    "TopicChangedError",
    `target topic "${target_topic}" is not the one that restore ${restore_id} began with`,
  );
}

class PartitionRestore {
  readonly #deps: RestoreDeps;
  readonly #request: RestorePartitionRequest;
  readonly #progress: PartitionProgress;
  readonly #source: PartitionSource;
  readonly #start: PartitionStart;
  readonly #at: { topic: string; partition: number };
  /** What is checkpointed. */
  #restored: Restored;
  /** What is acknowledged. */
  #recordCount: bigint;
  #nextOffset: bigint;
  #map = new OffsetMapBuilder();
  /** Less than the request's max_message_bytes once the broker took less than the plan found. */
  #splitAboveBytes: number;
  #checkpointedAtMs: number;
  #sent: SentBatches;
  /** True once the brokers are known to have replicated all that is counted. */
  #isReplicated = true;
  #unreported = { records: 0, bytes: 0 };

  constructor(
    deps: RestoreDeps,
    request: RestorePartitionRequest,
    progress: PartitionProgress,
    source: PartitionSource,
    start: PartitionStart,
    restored: Restored,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#progress = progress;
    this.#source = source;
    this.#start = start;
    this.#at = { topic: request.target_topic, partition: request.target_partition };
    this.#restored = restored;
    this.#recordCount = restored.recordCount;
    this.#nextOffset = restored.nextOffset;
    this.#sent = { ...restored.sent };
    this.#splitAboveBytes = request.max_message_bytes;
    this.#checkpointedAtMs = deps.clock.monotonicMs();
  }

  async run(deadline: Deadline): Promise<RestorePartitionOutcome> {
    let idlePasses = 0;
    for (;;) {
      const before = this.#restored.recordCount;
      const end = await this.#pass(deadline);
      await this.#checkpoint();
      if (end === "done") return { status: "done", result: await this.#finish() };
      if (end === "deadline" || deadline.passed()) return this.#continueLater();
      idlePasses = this.#restored.recordCount > before ? 0 : idlePasses + 1;
      if (end.kind === "too large") this.#splitSmaller(end);
      else if (end.kind === "damaged") throw this.#damaged(end);
      else if (idlePasses >= idlePassesMax) throw end.cause;
      else await this.#backOff(idlePasses, end.cause, deadline);
    }
  }

  /** Looks where the target stands and sends from there. */
  async #pass(deadline: Deadline): Promise<PassEnd | "done" | "deadline"> {
    this.#recordCount = this.#restored.recordCount;
    this.#nextOffset = this.#restored.nextOffset;
    this.#map = new OffsetMapBuilder();
    const logEnd = await orInterruption(() => this.#checkedLogEnd());
    if (typeof logEnd !== "bigint") return logEnd;
    const pass = new ProducePass(
      this.#deps.cluster,
      this.#at,
      this.#start,
      logEnd - this.#start.base_offset,
      (output, targetOffset) => this.#acknowledged(output, targetOffset),
    );
    try {
      const input = await this.#sendAll(pass, logEnd, deadline);
      const end = await pass.drain();
      if (end !== undefined || input === "deadline") return end ?? "deadline";
      return await orInterruption(() => this.#confirmEnd());
    } catch (error) {
      // No answer may come after this worker has returned; and what they say of the target, a
      // foreign record above all (R2), is more than what else ended this worker.
      await pass.drain();
      throw error;
    }
  }

  async #sendAll(
    pass: ProducePass,
    logEnd: bigint,
    deadline: Deadline,
  ): Promise<"sent" | "deadline" | "over"> {
    const outputs = this.#outputs(logEnd - this.#start.base_offset);
    for await (const frame of this.#source.frames(this.#nextOffset)) {
      for (let position = 0; position < frame.length; ) {
        const size = batchSizeAt(frame, position)!;
        const header = readBatchHeader(frame, position);
        const batch = frame.subarray(position, position + size);
        position += size;
        if (lastOffsetOf(header) < this.#restored.nextOffset) continue;
        for (const output of outputs.push(batch, header)) {
          if (deadline.passed()) return "deadline";
          const sent = await this.#send(pass, output, deadline);
          if (sent !== "sent") return sent;
        }
        await this.#checkpointWhenDue();
      }
    }
    for (const output of outputs.flush()) {
      const sent = await this.#send(pass, output, deadline);
      if (sent !== "sent") return sent;
    }
    if (outputs.missingToSkip > 0n) {
      const expected = logEnd - outputs.missingToSkip;
      throw foreignWriter(this.#at, expected, logEnd);
    }
    return "sent";
  }

  /** Sends the batch when the byte rate has room for it. */
  async #send(
    pass: ProducePass,
    output: OutputBatch,
    deadline: Deadline,
  ): Promise<"sent" | "deadline" | "over"> {
    const { byteRate } = this.#deps;
    if (byteRate !== undefined && !(await byteRate.take(output.batch.length, deadline))) {
      return "deadline";
    }
    if (await pass.send(output)) return "sent";
    byteRate?.give(output.batch.length);
    return "over";
  }

  #outputs(recordsInTarget: bigint): OutputBatches {
    const { source_topic: topic, source_partition: partition, window } = this.#request;
    return new OutputBatches({
      at: { topic, partition },
      window,
      valid: validOffsets(this.#source.lineage, this.#restored.nextOffset),
      maxMessageBytes: this.#request.max_message_bytes,
      splitAboveBytes: this.#splitAboveBytes,
      coalesceBelowBytes: this.#request.coalesce_below_bytes,
      includeOffsetHeaders: this.#request.include_offset_headers,
      skipRecords: recordsInTarget - this.#restored.recordCount,
      onSkipped: ({ offset, count }) => {
        this.#isReplicated = false;
        this.#map.add(offset, this.#start.base_offset + this.#recordCount, count);
        this.#recordCount += BigInt(count);
        this.#nextOffset = offset + BigInt(count);
      },
    });
  }

  #acknowledged(output: OutputBatch, targetOffset: bigint): void {
    let target = targetOffset;
    for (const { offset, count } of output.sources) {
      this.#map.add(offset, target, count);
      target += BigInt(count);
    }
    this.#recordCount += BigInt(output.recordCount);
    this.#nextOffset = output.nextOffset;
    this.#isReplicated = true;
    this.#sent[output.isRaw ? "raw" : "encoded"] += 1;
    this.#sent.bytes += output.batch.length;
    this.#unreported.records += output.recordCount;
    this.#unreported.bytes += output.batch.length;
  }

  /** The log's end, of the topic that the restore began with. */
  async #checkedLogEnd(): Promise<bigint> {
    const { cluster } = this.#deps;
    const [topic] = await cluster.describeTopics([this.#at.topic]);
    if (topic?.topicId !== this.#start.topic_id) throw topicChanged(this.#request);
    const { endOffset } = await cluster.logEndOffset(this.#at);
    const acknowledged = this.#start.base_offset + this.#restored.recordCount;
    if (endOffset >= acknowledged) return endOffset;
    throw new BackupError(
      "TopicChangedError",
      `${this.#at.topic}-${this.#at.partition}: the log ends at offset ${endOffset}, but records ` +
        `up to ${acknowledged} had been acknowledged: the target lost them`,
    );
  }

  /** All was acknowledged; nothing may stand behind it. */
  async #confirmEnd(): Promise<Interruption | "done"> {
    const end = await this.#checkedLogEnd();
    const expected = this.#start.base_offset + this.#recordCount;
    if (end > expected) throw foreignWriter(this.#at, expected, end);
    if (end === expected && (await this.#isAllReplicated())) return "done";
    const cause = new Error(`the log is replicated up to less than offset ${expected}`);
    return { kind: "interrupted", cause };
  }

  /**
   * Records that were found in the leader's log are durable once a later one is acknowledged, or
   * the high watermark has passed them; until then another leader may not have them.
   */
  async #isAllReplicated(): Promise<boolean> {
    if (this.#isReplicated) return true;
    const [answer] = await this.#deps.cluster.listOffsets([this.#at], "highWatermark");
    if (answer === undefined || "error" in answer) return false;
    this.#isReplicated = answer.offset >= this.#start.base_offset + this.#recordCount;
    return this.#isReplicated;
  }

  async #checkpointWhenDue(): Promise<void> {
    const elapsedMs = this.#deps.clock.monotonicMs() - this.#checkpointedAtMs;
    if (elapsedMs >= this.#request.checkpoint_interval_ms * checkpointAtShare) {
      await this.#checkpoint();
    }
  }

  async #checkpoint(): Promise<void> {
    this.#checkpointedAtMs = this.#deps.clock.monotonicMs();
    if (this.#recordCount === this.#restored.recordCount) return;
    if (!(await this.#isAllReplicated())) return;
    const sent = { ...this.#sent };
    const now = { recordCount: this.#recordCount, nextOffset: this.#nextOffset, sent };
    this.#restored = await this.#progress.checkpoint(this.#restored, now, this.#map.take());
    const { topic, partition } = this.#at;
    this.#deps.onProgress?.({ kind: "advanced", topic, partition, ...this.#unreported });
    this.#unreported = { records: 0, bytes: 0 };
    const durationMs = this.#deps.clock.monotonicMs() - this.#checkpointedAtMs;
    this.#deps.onProgress?.({ kind: "checkpoint", topic, partition, durationMs });
  }

  async #finish(): Promise<PartitionResult> {
    const { base_offset } = this.#start;
    const result: PartitionResult = {
      source_topic: this.#request.source_topic,
      source_partition: this.#request.source_partition,
      target_topic: this.#at.topic,
      target_partition: this.#at.partition,
      lineage: this.#request.lineage,
      start_offset: base_offset,
      end_offset: base_offset + this.#recordCount,
      record_count: this.#recordCount,
      sent: this.#sent,
      source_end_offset: this.#source.lineage.next_offset,
    };
    await this.#progress.writeResult(result);
    return result;
  }

  #continueLater(): RestorePartitionOutcome {
    return {
      status: "continue",
      record_count: this.#restored.recordCount,
      next_offset: this.#restored.nextOffset,
    };
  }

  /** The broker takes less than the plan found: begin again with smaller batches (R6). */
  #splitSmaller({ output, cause }: Refusal): void {
    if (output.recordCount === 1) {
      const { source_topic, source_partition } = this.#request;
      throw new BackupError(
        "RecordTooLargeError",
        `${this.#at.topic}-${this.#at.partition} does not take the record at offset ` +
          `${output.sources[0]?.offset} of ${source_topic}-${source_partition}, ` +
          `${output.batch.length} bytes with its batch header`,
        { cause },
      );
    }
    this.#splitAboveBytes = Math.ceil(output.batch.length / 2);
  }

  /** The CRC is carried over from the source's producer: the damage came after that. */
  #damaged({ output, cause }: Refusal): BackupError {
    const { source_topic: topic, source_partition: partition } = this.#request;
    const problem = "its bytes do not fit its CRC-32C, and the target's broker refuses it";
    return corruptBatch({ topic, partition }, output.sources[0]!.offset, problem, {
      cause,
      hint: "`kafka-backup validate --deep` finds what else of the backup is damaged.",
    });
  }

  async #backOff(idlePasses: number, cause: Error, deadline: Deadline): Promise<void> {
    const { topic, partition } = this.#at;
    this.#deps.logger.warn(`${topic}-${partition}: looking at the log again: ${cause.message}`);
    const waitMs = Math.min(backoffMs.max, backoffMs.first * 2 ** idlePasses);
    await this.#deps.clock.sleep(waitMs, deadline.signal).catch(() => {});
  }
}

/** A broker that is away for a while ends a pass, not the partition. */
async function orInterruption<T>(step: () => Promise<T>): Promise<T | Interruption> {
  try {
    return await step();
  } catch (cause) {
    if (isBackupError(cause, "BrokerUnavailableError")) return { kind: "interrupted", cause };
    throw cause;
  }
}
