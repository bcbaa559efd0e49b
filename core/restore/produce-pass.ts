/**
 * One pass of the exactly-once protocol: batches go out in order, and each answer must place its
 * batch exactly where the restore expects it. The first batch goes alone, because of two in
 * flight on a fresh producer id a broker that refuses the first may take the second; then up to
 * five, which is what a broker keeps to recognise duplicates. After any other answer, or none,
 * the pass is over: its owner looks at the log's end and begins another. Nothing is sent twice.
 */
import { BackupError } from "#core/errors.ts";
import { rewriteHeader } from "#core/kafka/batch-rewrite.ts";
import type { Cluster, ProduceAnswer, TopicPartition } from "#core/kafka/cluster.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import { isRetriableCode, kafkaError } from "#core/kafka/kafka-errors.ts";
import { attributesOffset, crcOffset } from "#core/kafka/record-batch.ts";
import type { PartitionStart } from "#core/restore/documents.ts";
import type { OutputBatch } from "#core/restore/output-batches.ts";

/** ProducerStateManager keeps the last five batches of a producer (NUM_BATCHES_TO_RETAIN). */
const inFlightMax = 5;
const produceTimeoutMs = 30_000;
const sequenceModulus = 2n ** 31n;

/** The log must be looked at: a lost answer, a moved leader, or a sequence the broker knows. */
export interface Interruption {
  readonly kind: "interrupted";
  readonly cause: Error;
}

export interface Refusal {
  /** `damaged`: the batch's bytes are not those that its CRC-32C was computed for. */
  readonly kind: "too large" | "damaged";
  readonly output: OutputBatch;
  readonly cause: Error;
}

/** How a pass may end before its input does; anything worse is thrown. */
export type PassEnd = Interruption | Refusal;

const sequenceErrors: readonly string[] = [
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "DUPLICATE_SEQUENCE_NUMBER",
  "UNKNOWN_PRODUCER_ID",
];
const tooLargeErrors: readonly string[] = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"];

export class ProducePass {
  readonly #cluster: Cluster;
  readonly #at: TopicPartition;
  readonly #start: PartitionStart;
  readonly #onAcknowledged: (output: OutputBatch, targetOffset: bigint) => void;
  /** Ordinal of the next record to be sent. */
  #next: bigint;
  #isConfirmed = false;
  /** Answers still to come, each judged after the one before. */
  #inFlight: Promise<void>[] = [];
  #end: PassEnd | undefined;
  #failure: unknown;

  constructor(
    cluster: Cluster,
    at: TopicPartition,
    start: PartitionStart,
    firstRecord: bigint,
    onAcknowledged: (output: OutputBatch, targetOffset: bigint) => void,
  ) {
    this.#cluster = cluster;
    this.#at = at;
    this.#start = start;
    this.#next = firstRecord;
    this.#onAcknowledged = onAcknowledged;
  }

  /** Sends the batch when there is room. False when the pass is over: then it was not sent. */
  async send(output: OutputBatch): Promise<boolean> {
    while (this.#inFlight.length >= (this.#isConfirmed ? inFlightMax : 1)) await this.#inFlight[0];
    if (this.#isOver) return false;
    const ordinal = this.#next;
    this.#next += BigInt(output.recordCount);
    rewriteHeader(output.batch, 0, {
      producerId: this.#start.producer_id,
      producerEpoch: this.#start.producer_epoch,
      baseSequence: Number(ordinal % sequenceModulus),
    });
    const answer = this.#cluster.produce({
      ...this.#at,
      batch: output.batch,
      timeoutMs: produceTimeoutMs,
    });
    this.#judgeInOrder(answer, output, this.#start.base_offset + ordinal);
    return true;
  }

  /** Awaits every answer. Throws what no further pass can mend. */
  async drain(): Promise<PassEnd | undefined> {
    while (this.#inFlight.length > 0) await this.#inFlight[0];
    if (this.#failure !== undefined) throw this.#failure;
    return this.#end;
  }

  get #isOver(): boolean {
    return this.#end !== undefined || this.#failure !== undefined;
  }

  #judgeInOrder(answer: Promise<ProduceAnswer>, output: OutputBatch, expected: bigint): void {
    const before = this.#inFlight.at(-1);
    const judged = Promise.allSettled([answer, before]).then(([settled]) => {
      this.#inFlight.shift();
      // After the first bad answer the later ones say nothing that the log's end does not.
      if (this.#isOver) return;
      if (settled.status === "rejected") this.#interrupt(settled.reason);
      else this.#judge(settled.value, output, expected);
    });
    this.#inFlight.push(judged);
  }

  #judge(answer: ProduceAnswer, output: OutputBatch, expected: bigint): void {
    if (answer.error !== "NONE") {
      this.#refused(answer, output, expected);
    } else if (answer.baseOffset === expected) {
      this.#isConfirmed = true;
      this.#onAcknowledged(output, expected);
    } else if (answer.baseOffset < expected) {
      // The broker took the batch for a duplicate of one that it has.
      this.#interrupt(new Error(`answered offset ${answer.baseOffset} instead of ${expected}`));
    } else {
      this.#failure = foreignWriter(this.#at, expected, answer.baseOffset);
    }
  }

  #refused(answer: ProduceAnswer, output: OutputBatch, expected: bigint): void {
    const { topic, partition } = this.#at;
    const cause = kafkaError({
      code: answer.errorCode,
      what: `Produce to ${topic}-${partition} at offset ${expected}`,
      message: answer.errorMessage,
      needs: `Write on topic ${topic} and IdempotentWrite on the cluster`,
    });
    if (tooLargeErrors.includes(answer.error)) this.#end = { kind: "too large", output, cause };
    else if (isDamaged(output.batch)) this.#end = { kind: "damaged", output, cause };
    else if (sequenceErrors.includes(answer.error)) {
      this.#interrupt(otherSequence(this.#at, expected, cause));
    } else if (isRetriableCode(answer.errorCode)) this.#interrupt(cause);
    else this.#failure = cause;
  }

  #interrupt(cause: unknown): void {
    if (cause instanceof Error) this.#end = { kind: "interrupted", cause };
    else this.#failure = cause;
  }
}

/** Where the batch is sound, what arrived was damaged on the way: it may be sent again. */
function isDamaged(batch: Buffer): boolean {
  return crc32c(batch.subarray(attributesOffset)) !== batch.readUInt32BE(crcOffset);
}

/**
 * An answer or a late request may explain it, and the log's end then tells; what lasts is a log
 * that holds other records than this producer's.
 */
function otherSequence({ topic, partition }: TopicPartition, offset: bigint, cause: BackupError) {
  return new BackupError(
    "ForeignWriterError",
    `${topic}-${partition}: the log ends at offset ${offset}, but not all in it are the restore's ` +
      `own records: ${cause.message}`,
    { cause },
  );
}

export function foreignWriter(at: TopicPartition, expected: bigint, found: bigint): BackupError {
  return new BackupError(
    "ForeignWriterError",
    `${at.topic}-${at.partition}: expected the log to end at offset ${expected}, found ${found}: ` +
      "somebody else writes to the target partition",
  );
}
