/**
 * What a restore has promised itself and done for one target partition: the documents under
 * `restores/{restore_id}/partitions/{target topic}/{target partition}/`.
 */
import type { z } from "zod";
import { documentBytes, parseState, readIfPresent, sha256Of } from "#core/catalog/documents.ts";
import type { RestoreDeps, RestorePartitionRequest } from "#core/restore/contract.ts";
import {
  type PartitionResult,
  type PartitionStart,
  partitionResult,
  partitionStart,
  type RestoreCheckpoint,
  restoreCheckpoint,
  type SentBatches,
} from "#core/restore/documents.ts";
import { encodeOffsetRuns, type OffsetRun } from "#core/restore/offset-map.ts";
import {
  inBackup,
  restoreCheckpointName,
  restoreMapName,
  restorePartitionFolder,
  restoreResultName,
  restoreStartName,
} from "#core/storage/keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";

/** How much of the output is known to be in the target. */
export interface Restored {
  /** Next part's number. */
  readonly sequence: number;
  readonly recordCount: bigint;
  /** Source offset from which on nothing is known to be in the target. */
  readonly nextOffset: bigint;
  /** Bytes and batches sent by all attempts so far. */
  readonly sent: SentBatches;
}

const nothing = { sequence: 0, recordCount: 0n, sent: { bytes: 0, raw: 0, encoded: 0 } };

export class PartitionProgress {
  readonly #deps: RestoreDeps;
  readonly #request: RestorePartitionRequest;
  readonly #folder: string;

  constructor(deps: RestoreDeps, request: RestorePartitionRequest) {
    this.#deps = deps;
    this.#request = request;
    const { backup_id, restore_id, target_topic, target_partition } = request;
    this.#folder = inBackup(
      backup_id,
      restorePartitionFolder(restore_id, target_topic, target_partition),
    );
  }

  /** Present when all records are in the target. */
  result(): Promise<PartitionResult | undefined> {
    return this.#read(restoreResultName, partitionResult);
  }

  async writeResult(result: PartitionResult): Promise<void> {
    await this.#writeOnce(restoreResultName, result);
  }

  /**
   * The producer and base offset of all attempts: those of the first one, which takes them from
   * the target before anything is produced.
   */
  async claimStart(): Promise<PartitionStart> {
    const earlier = await this.#read(restoreStartName, partitionStart);
    if (earlier !== undefined) return earlier;
    const { target_topic, target_partition, target_topic_id } = this.#request;
    const { cluster, storage } = this.#deps;
    const producer = await cluster.initProducerId();
    const end = await cluster.logEndOffset({ topic: target_topic, partition: target_partition });
    const start: PartitionStart = {
      topic_id: target_topic_id,
      producer_id: producer.producerId,
      producer_epoch: producer.producerEpoch,
      base_offset: end.endOffset,
    };
    const key = `${this.#folder}${restoreStartName}`;
    await storage.createIfAbsent(key, documentBytes(start));
    // Of two attempts at the same time the one that came first counts, for both.
    return (await this.#read(restoreStartName, partitionStart)) ?? start;
  }

  /** Where the newest checkpoint stands; `firstOffset` before the first one. */
  async restored(firstOffset: bigint): Promise<Restored> {
    let name: string | undefined;
    for await (const { key } of this.#deps.storage.list(`${this.#folder}checkpoint-`)) {
      name = key.slice(this.#folder.length);
    }
    const newest = name === undefined ? undefined : await this.#read(name, restoreCheckpoint);
    if (newest === undefined) return { ...nothing, nextOffset: firstOffset };
    return {
      sequence: newest.sequence + 1,
      recordCount: newest.record_count,
      nextOffset: newest.next_offset,
      sent: newest.sent,
    };
  }

  /**
   * Makes durable that the target holds the first `recordCount` records, and where they are.
   * Throws BackupConflictError when another worker is on the same partition.
   */
  async checkpoint(
    before: Restored,
    now: Omit<Restored, "sequence">,
    runs: readonly OffsetRun[],
  ): Promise<Restored> {
    const map = encodeOffsetRuns(runs);
    const mapName = restoreMapName(before.sequence, this.#deps.newId());
    await this.#deps.storage.createIfAbsent(`${this.#folder}${mapName}`, map);
    const document: RestoreCheckpoint = {
      sequence: before.sequence,
      written_at: BigInt(this.#deps.clock.nowMs()),
      record_count: now.recordCount,
      next_offset: now.nextOffset,
      sent: now.sent,
      map: {
        name: mapName,
        bytes: map.length,
        sha256: sha256Of(map),
        run_count: runs.length,
      },
    };
    await this.#writeOnce(restoreCheckpointName(before.sequence), document);
    return { sequence: before.sequence + 1, ...now };
  }

  async #writeOnce(name: string, document: unknown): Promise<void> {
    await writeOnce(this.#deps.storage, `${this.#folder}${name}`, documentBytes(document));
  }

  async #read<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const key = `${this.#folder}${name}`;
    const body = await readIfPresent(this.#deps.storage, key);
    return body === undefined ? undefined : parseState(key, body, schema);
  }
}
