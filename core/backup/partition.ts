/**
 * The worker of a backup: copies the record batches of one partition into segments, as they are.
 *
 * Fetching, checking and storing overlap: while one fetched buffer is checked and appended, the
 * next fetch is under way, and the segment writer compresses and uploads behind both.
 */

import type {
  BackupDeps,
  BackupPartitionOutcome,
  BackupPartitionRequest,
} from "#core/backup/contract.ts";
import { continuesArchive } from "#core/backup/lineage.ts";
import { PartitionArchive } from "#core/backup/partition-archive.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import { AbortedTransactionFilter } from "#core/kafka/aborted-transactions.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import type { FetchedPartition } from "#core/kafka/cluster.ts";
import { withRecordBatches } from "#core/kafka/message-sets.ts";
import { type PacedFetch, pacedFetch } from "#core/kafka/paced-fetch.ts";
import {
  batchHeaderBytes,
  batchSizeAt,
  lastOffsetOf,
  type RecordBatchHeader,
  readBatchHeader,
} from "#core/kafka/record-batch.ts";
import { settingsOf } from "#core/kafka/settings-of.ts";
import type { Deadline } from "#core/runtime.ts";

/**
 * Bytes asked for at once. Two such buffers are alive for each partition, the one that is being
 * archived and the one under way: 4 partitions x 2 x 2 MiB = 16 MiB.
 * Larger ones are no faster.
 */
const fetchBytesMax = 2 * 1024 * 1024;
const fetchWaitMs = 500;
/** Nothing for this long, though the end lies further on, is no accident of one answer. */
const emptyMs = 5_000;
/** A broker that shows data before the end and does not send it for this long is not well. */
const stallMs = 60_000;

/**
 * Reads `[start_offset, end_offset)`, or what an earlier call left of it, until it is all durable
 * or the deadline comes. A batch belongs to the range that holds its base offset. Throws CorruptRecordBatchError (F6), TopicChangedError (K3), a
 * partition's OffsetOutOfRangeError (K2), and what cluster and storage throw; what is
 * checkpointed by then stays.
 */
export async function backupPartition(
  deps: BackupDeps,
  request: BackupPartitionRequest,
  deadline: Deadline,
): Promise<BackupPartitionOutcome> {
  const archive = await PartitionArchive.open(deps, request);
  try {
    const reader = new PartitionReader(deps, request, archive);
    await reader.copyUntil(deadline);
    await archive.checkpoint();
  } catch (error) {
    // What was read before the bad place is good; a failed write makes the segment unusable.
    if (isBackupError(error, ...readErrors)) await archive.checkpoint().catch(() => {});
    await archive.abort();
    throw error;
  }
  const isDone = archive.nextOffset >= request.work.end_offset;
  return { status: isDone ? "done" : "continue", next_offset: archive.nextOffset };
}

/** Topic setting of KIP-405. */
const remoteStorage = "remote.storage.enable";

const readErrors = [
  "CorruptRecordBatchError",
  "OffsetOutOfRangeError",
  "BrokerUnavailableError",
  "CircuitOpenError",
] as const;

type FetchAnswer =
  | ({ readonly kind: "batches" } & PacedFetch)
  | { readonly kind: "out of range" | "fenced" | "deadline" };

class PartitionReader {
  readonly #deps: BackupDeps;
  readonly #request: BackupPartitionRequest;
  readonly #archive: PartitionArchive;
  #leaderEpoch: number;
  /** Where the next fetch begins; the archive follows behind. */
  #fetchOffset: bigint;
  #progressAtMs: number;
  /** Since when answers bring nothing although the end was not reached. */
  #emptySinceMs: number | undefined;

  constructor(deps: BackupDeps, request: BackupPartitionRequest, archive: PartitionArchive) {
    this.#deps = deps;
    this.#request = request;
    this.#archive = archive;
    this.#leaderEpoch = request.work.leader_epoch;
    this.#fetchOffset = archive.nextOffset;
    this.#progressAtMs = deps.clock.monotonicMs();
  }

  async copyUntil(deadline: Deadline): Promise<void> {
    let pending = this.#fetchNext(deadline);
    while (pending !== undefined) {
      const answer = await pending;
      if (answer.kind === "deadline") return;
      if (answer.kind === "batches") {
        const { fetched, heldMs } = answer;
        this.#progressAtMs += heldMs;
        const end = this.#endOfWholeBatches(fetched);
        await this.#watchProgress(fetched, end > 0);
        pending = this.#fetchNext(deadline);
        // A look-ahead that fails is thrown when it is awaited; until then it is not unhandled.
        pending?.catch(() => {});
        await this.#archiveBatches(fetched, end);
      } else {
        if (answer.kind === "out of range") await this.#skipGap();
        else await this.#followLeader();
        pending = this.#fetchNext(deadline);
      }
    }
  }

  /** Undefined when there is nothing more to fetch. */
  #fetchNext(deadline: Deadline): Promise<FetchAnswer> | undefined {
    const { topic, partition, end_offset } = this.#request.work;
    if (this.#fetchOffset >= end_offset || deadline.passed()) return undefined;
    const request = {
      topic,
      partition,
      fetchOffset: this.#fetchOffset,
      currentLeaderEpoch: this.#leaderEpoch,
      maxBytes: fetchBytesMax,
      minBytes: 1,
      maxWaitMs: this.#emptySinceMs === undefined ? fetchWaitMs : emptyMs,
      isolation: "read_committed",
    } as const;
    return pacedFetch(this.#deps, request, deadline).then(
      (paced) => {
        if (paced === undefined) return { kind: "deadline" };
        // Formats before record batches end here: nothing further on knows them.
        const { work } = this.#request;
        const records = withRecordBatches(paced.fetched.records, work, { border: end_offset });
        return { kind: "batches", ...paced, fetched: { ...paced.fetched, records } };
      },
      (error: unknown) => {
        if (isBackupError(error, "OffsetOutOfRangeError")) return { kind: "out of range" };
        if (isFenced(error)) return { kind: "fenced" };
        throw error;
      },
    );
  }

  /** Another leader: goes on with its epoch when its log holds what was archived (K3, K4). */
  async #followLeader(): Promise<void> {
    const { work } = this.#request;
    const [topic] = await this.#deps.cluster.describeTopics([work.topic]);
    const leader = topic?.partitions.find(({ partition }) => partition === work.partition);
    const isSame =
      topic !== undefined &&
      leader !== undefined &&
      (await continuesArchive(this.#deps.cluster, work, topic.topicId, {
        lineage: work.lineage,
        topicId: work.topic_id,
        nextOffset: this.#archive.nextOffset,
        lastLeaderEpoch: this.#archive.lastLeaderEpoch,
      }));
    if (!isSame) {
      throw new BackupError(
        "TopicChangedError",
        `${work.topic}-${work.partition}: the new leader's log does not continue what was ` +
          `archived up to offset ${this.#archive.nextOffset}`,
      );
    }
    this.#leaderEpoch = leader.leaderEpoch;
    this.#fetchOffset = this.#archive.nextOffset;
  }

  /**
   * Position after the last whole batch that this run wants, or after a damaged one. Moves the
   * fetch offset behind what is whole.
   */
  #endOfWholeBatches(fetched: FetchedPartition): number {
    const { records } = fetched;
    let position = 0;
    for (;;) {
      const size = batchSizeAt(records, position);
      if (size === undefined) break;
      if (size < batchHeaderBytes) return records.length; // Archiving comes to it, and refuses it.
      const header = readBatchHeader(records, position);
      if (header.baseOffset >= this.#request.work.end_offset) break;
      const next = lastOffsetOf(header) + 1n;
      if (next > this.#fetchOffset) this.#fetchOffset = next;
      position += size;
    }
    return position;
  }

  /**
   * Batches beyond those that exist cannot be waited for: compaction may have removed all up to
   * the end. A broker that throttles also answers with nothing, and says so (KIP-219).
   */
  async #watchProgress(fetched: FetchedPartition, isProgress: boolean): Promise<void> {
    const { clock } = this.#deps;
    const { end_offset, topic, partition } = this.#request.work;
    const isEmpty = fetched.records.length === 0 && fetched.lastStableOffset >= end_offset;
    if (isProgress || fetched.throttleTimeMs > 0) {
      // The next request leaves when the throttling is over.
      this.#progressAtMs = clock.monotonicMs() + fetched.throttleTimeMs;
      this.#emptySinceMs = undefined;
    } else if (isEmpty && (await this.#isCompactedAway())) {
      this.#fetchOffset = end_offset;
    } else if (fetched.records.length > 0 && isBeyond(fetched.records, end_offset)) {
      this.#fetchOffset = end_offset;
    } else if (clock.monotonicMs() - this.#progressAtMs > stallMs) {
      throw new BackupError(
        "BrokerUnavailableError",
        `${topic}-${partition}: no record batch at offset ${this.#fetchOffset} for ` +
          `${stallMs / 1000} s, though the last stable offset was ${end_offset} at the plan`,
      );
    }
  }

  /**
   * A broker whose remote storage is slower than it waits also answers with nothing and without an
   * error (KIP-405, KIP-1018). Topics with remote storage are never compacted, so nothing is ever
   * missing at their end; of others the answer is taken when it stays the same.
   */
  async #isCompactedAway(): Promise<boolean> {
    const { clock, cluster } = this.#deps;
    const { topic } = this.#request.work;
    this.#emptySinceMs ??= clock.monotonicMs();
    if (clock.monotonicMs() - this.#emptySinceMs < emptyMs) return false;
    const settings = await settingsOf(cluster, topic);
    return !settings.some(({ name, value }) => name === remoteStorage && value === "true");
  }

  async #archiveBatches(fetched: FetchedPartition, end: number): Promise<void> {
    const { records } = fetched;
    const { work } = this.#request;
    const transactions = new AbortedTransactionFilter(fetched.abortedTransactions, work);
    for (let position = 0; position < end; ) {
      const header = checkBatch(records, position, work);
      const verdict = transactions.classify(header, records, position);
      const batch = records.subarray(position, position + header.sizeInBytes);
      position += header.sizeInBytes;
      if (lastOffsetOf(header) < this.#archive.nextOffset) continue;
      this.#refuseLaterEpoch(header);
      if (work.range !== undefined && header.baseOffset < work.range.from_offset) {
        // It is the range's before this one.
        this.#archive.skipTo(lastOffsetOf(header) + 1n, header.partitionLeaderEpoch);
      } else if (verdict !== "keep") await this.#archive.drop(header, verdict);
      else if (header.recordCount === 0) await this.#archive.drop(header, "empty");
      else await this.#archive.append(batch, header);
    }
    if (this.#fetchOffset >= work.end_offset) {
      this.#archive.skipTo(work.end_offset, work.end_leader_epoch);
    }
  }

  /**
   * The range behind this one begins with a batch that was there at the plan. A log whose epochs
   * go beyond that batch's before it has been truncated since, and holds another one there (K3).
   */
  #refuseLaterEpoch({ baseOffset, partitionLeaderEpoch }: RecordBatchHeader): void {
    const { topic, partition, end_offset, end_leader_epoch } = this.#request.work;
    if (end_leader_epoch === undefined || partitionLeaderEpoch <= end_leader_epoch) return;
    throw new BackupError(
      "TopicChangedError",
      `${topic}-${partition}: the batch at offset ${baseOffset} is of leader epoch ` +
        `${partitionLeaderEpoch}, but at the plan offset ${end_offset} behind it was of ` +
        `${end_leader_epoch}: the log was truncated`,
      { hint: "Run the backup again: it goes on where the archived log ends." },
    );
  }

  /** Retention or DeleteRecords was faster (K1); anything else that is out of range is not ours. */
  async #skipGap(): Promise<void> {
    const { work } = this.#request;
    const [earliest] = await this.#deps.cluster.listOffsets([work], "earliest");
    if (earliest === undefined || "error" in earliest) {
      throw earliest?.error ?? new Error("ListOffsets gave no answer");
    }
    if (earliest.offset <= this.#fetchOffset) {
      const end = await this.#deps.cluster.logEndOffset(work);
      throw new BackupError(
        "OffsetOutOfRangeError",
        `${work.topic}-${work.partition}: offset ${this.#fetchOffset} is outside the log ` +
          `[${earliest.offset}, ${end.endOffset}): the log was truncated`,
        { hint: "Run the backup again: it starts a new lineage of this partition." },
      );
    }
    const to = earliest.offset < work.end_offset ? earliest.offset : work.end_offset;
    await this.#archive.addGap(to);
    this.#fetchOffset = to;
  }
}

function isFenced(error: unknown): boolean {
  return isBackupError(error) && error.details.kafka_error === "FENCED_LEADER_EPOCH";
}

function isBeyond(records: Buffer, offset: bigint): boolean {
  return records.length >= 8 && records.readBigInt64BE(0) >= offset;
}
