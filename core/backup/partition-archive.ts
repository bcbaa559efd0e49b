/**
 * The writing half of a backup worker: the segment that grows, and the checkpoints that say what
 * is durable. Order: segment, index, checkpoint; the manifest comes last, from `finish.ts` (C1).
 */
import type { BackupDeps, BackupPartitionRequest } from "#core/backup/contract.ts";
import type { PartitionOfRun } from "#core/catalog/catalog.ts";
import type { DroppedBatches, Gap, SegmentEntry } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import { lastOffsetOf, type RecordBatchHeader } from "#core/kafka/record-batch.ts";
import { SegmentWriter } from "#core/segment/writer.ts";

/** A segment is closed when this part of the interval is over: closing it takes time as well. */
const checkpointAtShare = 0.75;

export class PartitionArchive {
  readonly #deps: BackupDeps;
  readonly #request: BackupPartitionRequest;
  readonly #at: PartitionOfRun;
  #sequence: number;
  #nextOffset: bigint;
  #lastLeaderEpoch: number;
  #writer: SegmentWriter | undefined;
  #segments: SegmentEntry[] = [];
  #gaps: Gap[] = [];
  #dropped: DroppedBatches = { aborted: 0, control: 0, empty: 0 };
  #checkpointedAtMs: number;
  #checkpointedOffset: bigint;
  #unreported = { records: 0, bytes: 0 };

  private constructor(
    deps: BackupDeps,
    request: BackupPartitionRequest,
    at: PartitionOfRun,
    from: { sequence: number; nextOffset: bigint; lastLeaderEpoch: number },
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#at = at;
    this.#sequence = from.sequence;
    this.#nextOffset = from.nextOffset;
    this.#lastLeaderEpoch = from.lastLeaderEpoch;
    this.#checkpointedOffset = from.nextOffset;
    this.#checkpointedAtMs = deps.clock.monotonicMs();
  }

  /** Goes on where the newest checkpoint of the same lineage ended. */
  static async open(deps: BackupDeps, request: BackupPartitionRequest): Promise<PartitionArchive> {
    const { work } = request;
    const at = {
      backupId: request.backup_id,
      runId: request.state_id,
      topic: work.topic,
      partition: work.partition,
      range: work.range,
    };
    const parts = await deps.catalog.checkpoints(at);
    const last = parts.at(-1);
    const continues = last?.lineage === work.lineage;
    return new PartitionArchive(deps, request, at, {
      sequence: parts.length,
      nextOffset: continues ? last.next_offset : work.start_offset,
      lastLeaderEpoch: continues ? last.last_leader_epoch : work.last_leader_epoch,
    });
  }

  /** All before it is in the segments, in a gap, dropped, or never was. */
  get nextOffset(): bigint {
    return this.#nextOffset;
  }

  /** Leader epoch of the last batch that was read, kept or dropped; -1 before the first. */
  get lastLeaderEpoch(): number {
    return this.#lastLeaderEpoch;
  }

  async append(batch: Buffer, header: RecordBatchHeader): Promise<void> {
    this.#writer ??= await this.#openSegment(header.baseOffset);
    await this.#writer.append(batch, header);
    this.#nextOffset = lastOffsetOf(header) + 1n;
    this.#lastLeaderEpoch = header.partitionLeaderEpoch;
    this.#unreported.records += header.recordCount;
    this.#unreported.bytes += header.sizeInBytes;
    if (this.#writer.batchBytes >= this.#request.segments.segment_max_bytes)
      await this.checkpoint();
    else await this.#checkpointWhenDue();
  }

  async drop(header: RecordBatchHeader, why: keyof DroppedBatches): Promise<void> {
    this.#dropped[why] += 1;
    this.#nextOffset = lastOffsetOf(header) + 1n;
    this.#lastLeaderEpoch = header.partitionLeaderEpoch;
    await this.#checkpointWhenDue();
  }

  /** There is nothing more before `offset`; `leaderEpoch` is of the log there, where it is known. */
  skipTo(offset: bigint, leaderEpoch = this.#lastLeaderEpoch): void {
    if (offset <= this.#nextOffset) return;
    this.#nextOffset = offset;
    this.#lastLeaderEpoch = leaderEpoch;
  }

  /** Offsets up to `to` are lost to this backup; durable at once. */
  async addGap(to: bigint): Promise<void> {
    this.#gaps.push({
      from_offset: this.#nextOffset,
      to_offset: to,
      reason: "retention",
      run_id: this.#request.run_id,
      detected_at: BigInt(this.#deps.clock.nowMs()),
    });
    this.#nextOffset = to;
    await this.checkpoint();
  }

  /** Makes all up to `nextOffset` durable. Does nothing when it is. */
  async checkpoint(): Promise<void> {
    if (this.#nextOffset === this.#checkpointedOffset) return;
    const { clock, catalog, onProgress } = this.#deps;
    const { topic, topic_id, partition, lineage, start_offset } = this.#request.work;
    const startedAtMs = clock.monotonicMs();
    if (this.#writer !== undefined) {
      this.#segments.push(await this.#writer.finish());
      this.#writer = undefined;
    }
    await this.#refuseChangedTopic();
    await catalog.appendCheckpoint(this.#at, {
      sequence: this.#sequence,
      written_at: BigInt(clock.nowMs()),
      lineage,
      topic_id,
      start_offset,
      next_offset: this.#nextOffset,
      last_leader_epoch: this.#lastLeaderEpoch,
      segments: this.#segments,
      gaps: this.#gaps,
      dropped: this.#dropped,
    });
    this.#sequence += 1;
    this.#segments = [];
    this.#gaps = [];
    this.#dropped = { aborted: 0, control: 0, empty: 0 };
    this.#checkpointedOffset = this.#nextOffset;
    this.#checkpointedAtMs = clock.monotonicMs();
    const durationMs = this.#checkpointedAtMs - startedAtMs;
    onProgress?.({ kind: "checkpoint", topic, partition, durationMs });
    this.#report();
  }

  /** Leaves what is durable and discards the rest. Never throws. */
  async abort(): Promise<void> {
    await this.#writer?.abort();
    this.#writer = undefined;
  }

  async #checkpointWhenDue(): Promise<void> {
    const elapsedMs = this.#deps.clock.monotonicMs() - this.#checkpointedAtMs;
    const intervalMs = this.#request.segments.checkpoint_interval_ms;
    if (elapsedMs >= intervalMs * checkpointAtShare) await this.checkpoint();
  }

  #openSegment(baseOffset: bigint): Promise<SegmentWriter> {
    const { segments, backup_id, work } = this.#request;
    return SegmentWriter.open(this.#deps.storage, {
      backupId: backup_id,
      topic: work.topic,
      partition: work.partition,
      baseOffset,
      attempt: this.#deps.newId(),
      codec: segments.compression,
      level: segments.compression_level,
      recompress: segments.recompress,
    });
  }

  /**
   * All that was read since the last checkpoint came from this topic if it is still there: a topic
   * id never returns (K3).
   */
  async #refuseChangedTopic(): Promise<void> {
    const { topic, topic_id } = this.#request.work;
    const [found] = await this.#deps.cluster.describeTopics([topic]);
    if (found?.topicId === topic_id) return;
    throw new BackupError(
      "TopicChangedError",
      `topic "${topic}" was ${found === undefined ? "deleted" : "deleted and created again"} ` +
        `while partition ${this.#request.work.partition} was read`,
    );
  }

  #report(): void {
    const { topic, partition } = this.#request.work;
    this.#deps.onProgress?.({ kind: "advanced", topic, partition, ...this.#unreported });
    this.#unreported = { records: 0, bytes: 0 };
  }
}
