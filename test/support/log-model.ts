/**
 * A partition's log as a broker keeps it, in memory: what a backup asks of it, and what may happen
 * to it meanwhile. For properties over thousands of logs and interleavings, which no real broker
 * is quick enough for; the same things happen to real ones in test/integration/engine.
 */
import { BackupError } from "#core/errors.ts";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { AbortedTransaction, Cluster, FetchRequest } from "#core/kafka/cluster.ts";
import { controlBit, transactionalBit } from "#core/kafka/record-batch.ts";
import type { Clock } from "#core/runtime.ts";

export interface LoggedBatch {
  readonly base: bigint;
  readonly last: bigint;
  readonly epoch: number;
  /** What a read_committed consumer does with it. */
  readonly kind: "kept" | "aborted" | "control" | "empty";
  readonly bytes: Buffer;
}

interface FinishedTransaction extends AbortedTransaction {
  /** Of its abort marker. */
  readonly lastOffset: bigint;
}

export const modelTopic = "orders";

/** Partition 0 of one topic. */
export class LogModel {
  readonly topicId = "6N0YFIQ2dnatCoVMEeqvWA";
  leaderEpoch = 0;
  logStart = 0n;
  end = 0n;
  batches: LoggedBatch[] = [];
  /** All that the log, as it came to be in the end, ever held. A truncation begins another. */
  histories: LoggedBatch[][] = [[]];
  readonly compacted = new Set<LoggedBatch>();
  #epochs: { epoch: number; start: bigint }[] = [];
  #aborted: FinishedTransaction[] = [];
  #transactions: { first: bigint; last: bigint }[] = [];
  #records = 0;

  append(records: number): void {
    this.#put(encodeBatch(this.#newRecords(records), { codec: "none" }), records, "kept");
  }

  /** What brokers wrote before record batches; `last` is the offset of its last message. */
  appendMessages(bytes: Buffer, last: bigint): void {
    const batch = { base: this.end, last, epoch: -1, kind: "kept", bytes } as const;
    this.end = last + 1n;
    this.batches.push(batch);
    this.histories.at(-1)!.push(batch);
  }

  /** As compaction leaves it where the batch was a producer's last: no record, all offsets. */
  appendEmptied(offsets: number): void {
    const fields = { codec: "none", producerId: 9n, lastOffsetDelta: offsets - 1 } as const;
    this.#put(encodeBatch([], fields), offsets, "empty");
  }

  /** Two batches of a producer and its marker, with a stranger's batch between. */
  appendTransaction(producerId: bigint, records: number, isAborted: boolean): void {
    const fields = {
      codec: "none",
      flags: transactionalBit,
      producerId,
      producerEpoch: 0,
    } as const;
    const kind = isAborted ? "aborted" : "kept";
    const firstOffset = this.end;
    this.#put(encodeBatch(this.#newRecords(records), fields), records, kind);
    this.append(1);
    this.#put(encodeBatch(this.#newRecords(1), fields), 1, kind);
    const key = Buffer.from([0, 0, 0, isAborted ? 0 : 1]);
    const marker = encodeBatch([{ timestamp: 5n, key, value: Buffer.alloc(6) }], {
      ...fields,
      flags: transactionalBit | controlBit,
    });
    if (isAborted) this.#aborted.push({ producerId, firstOffset, lastOffset: this.end });
    this.#transactions.push({ first: firstOffset, last: this.end });
    this.#put(marker, 1, "control");
  }

  /**
   * Compaction removes batches; never the last one, which is in the active segment, and markers
   * only long after the data of their transactions.
   */
  compact(isRemoved: (batch: LoggedBatch) => boolean): void {
    const last = this.batches.at(-1);
    for (const batch of this.batches) {
      if (batch === last || batch.kind === "control" || !isRemoved(batch)) continue;
      this.compacted.add(batch);
    }
    this.batches = this.batches.filter((batch) => !this.compacted.has(batch));
  }

  deleteBefore(offset: bigint): void {
    if (offset <= this.logStart || offset > this.end) return;
    this.logStart = offset;
    this.#epochs = this.#epochs
      .filter((_, i, all) => (all[i + 1]?.start ?? this.end) > offset)
      .map(({ epoch, start }) => ({ epoch, start: start > offset ? start : offset }));
    this.batches = this.batches.filter(({ last }) => last >= offset);
  }

  elect(): void {
    this.leaderEpoch += 1;
  }

  /** An unclean leader lacks the batches from `offset` on, and transactions that have any there. */
  truncate(wanted: bigint): void {
    const offset =
      this.#transactions.find(({ first, last }) => first < wanted && last >= wanted)?.first ??
      wanted;
    if (offset <= this.logStart || offset >= this.end) return;
    const isGone = ({ last }: LoggedBatch) => last >= offset;
    const history = this.histories.at(-1)!;
    this.histories.push(history.filter((batch) => !isGone(batch)));
    this.batches = this.batches.filter((batch) => !isGone(batch));
    const ends = this.histories.at(-1)!.map(({ last }) => last + 1n);
    this.end = ends.at(-1) ?? this.logStart;
    if (this.end < this.logStart) this.end = this.logStart;
    this.#epochs = this.#epochs.filter(({ start }) => start < this.end);
    this.#aborted = this.#aborted.filter(({ lastOffset }) => lastOffset < this.end);
    this.#transactions = this.#transactions.filter(({ last }) => last < this.end);
    this.elect();
  }

  /** `bytesMax` bounds every fetch, so that partitions take several. */
  cluster(clock: Clock, bytesMax: number): Cluster {
    const unused = () => {
      throw new Error("no backup asks for this");
    };
    return {
      clusterId: "model",
      describeTopics: async () => [
        {
          name: modelTopic,
          topicId: this.topicId,
          internal: false,
          authorizedOperations: undefined,
          partitions: [
            {
              ...{ partition: 0, leader: 1, leaderEpoch: this.leaderEpoch },
              ...{ replicas: [1], inSyncReplicas: [1] },
            },
          ],
        },
      ],
      topicSettings: async (topics) => topics.map((topic) => ({ topic, settings: [] })),
      listOffsets: async (partitions, spec) =>
        partitions.map((one) => ({
          ...one,
          offset: spec === "earliest" ? this.logStart : this.end,
          leaderEpoch: this.leaderEpoch,
        })),
      endOffsetOfEpoch: async (_at, epoch) => this.#endOfEpoch(epoch),
      logEndOffset: async () => ({ leaderEpoch: this.leaderEpoch, endOffset: this.end }),
      fetch: async (request) => {
        const fetched = this.#fetch(request, bytesMax);
        if (fetched.records.length === 0) await clock.sleep(request.maxWaitMs);
        return fetched;
      },
      committedOffsets: async () => ({ groups: [], failed: [], complete: true }),
      openTransactions: async () => [],
      describeAcls: async () => undefined,
      throttledMs: () => 0,
      disconnect: async () => {},
      ...{ brokerIds: unused, createTopics: unused, validateNewTopic: unused },
      ...{ alterTopicSettings: unused, validateTopicSettings: unused, produce: unused },
      ...{ initProducerId: unused, describeGroups: unused, commitOffsets: unused },
      ...{ deleteOffsets: unused, clusterOperations: unused, groupOperations: unused },
      logSizes: unused,
    };
  }

  #put(bytes: Buffer, offsets: number, kind: LoggedBatch["kind"]): void {
    bytes.writeBigInt64BE(this.end, 0);
    bytes.writeInt32BE(this.leaderEpoch, 12);
    const [base, epoch] = [this.end, this.leaderEpoch];
    this.end += BigInt(offsets);
    if (this.#epochs.at(-1)?.epoch !== epoch) this.#epochs.push({ epoch, start: base });
    const batch = { base, last: this.end - 1n, epoch, kind, bytes };
    this.batches.push(batch);
    this.histories.at(-1)!.push(batch);
  }

  #newRecords(count: number) {
    return Array.from({ length: count }, () => ({
      timestamp: BigInt(this.#records),
      key: null,
      value: Buffer.from(`record ${this.#records++}`),
    }));
  }

  /** As LeaderEpochFileCache.endOffsetFor answers. */
  #endOfEpoch(epoch: number): { leaderEpoch: number; endOffset: bigint } {
    const later = this.#epochs.find((one) => one.epoch > epoch);
    const own = this.#epochs.findLast((one) => one.epoch <= epoch);
    if (epoch > this.leaderEpoch) return { leaderEpoch: -1, endOffset: -1n };
    if (epoch === this.leaderEpoch) return { leaderEpoch: epoch, endOffset: this.end };
    return { leaderEpoch: own?.epoch ?? epoch, endOffset: later?.start ?? this.end };
  }

  #fetch(request: FetchRequest, bytesMax: number) {
    const { fetchOffset, currentLeaderEpoch } = request;
    if (currentLeaderEpoch >= 0 && currentLeaderEpoch !== this.leaderEpoch) {
      const details = { kafka_error: "FENCED_LEADER_EPOCH" };
      throw new BackupError("TopicChangedError", "another leader", { details });
    }
    if (fetchOffset < this.logStart || fetchOffset > this.end) {
      throw new BackupError("OffsetOutOfRangeError", `${fetchOffset} is out of range`);
    }
    const bytes = Buffer.concat(
      this.batches.filter(({ last }) => last >= fetchOffset).map(({ bytes }) => bytes),
    );
    const first = bytes.length === 0 ? 0 : 12 + bytes.readInt32BE(8);
    const records = bytes.subarray(0, Math.max(first, Math.min(bytesMax, request.maxBytes)));
    return {
      throttleTimeMs: 0,
      highWatermark: this.end,
      lastStableOffset: this.end,
      logStartOffset: this.logStart,
      abortedTransactions: this.#aborted.filter(({ lastOffset }) => lastOffset >= fetchOffset),
      records,
    };
  }
}
