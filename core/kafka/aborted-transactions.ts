/**
 * What a read_committed consumer leaves out (F4), as Java's does it (CompletedFetch). A broker
 * sends data of aborted transactions along with a list of these transactions; the data of one
 * reach from its first offset to the abort marker of the same producer id. Markers are known by
 * the batch's control attribute: a user's record may have the same key bytes.
 */
import { corruptBatch } from "#core/kafka/batch-check.ts";
import { bodyOf } from "#core/kafka/batch-compression.ts";
import type { AbortedTransaction, TopicPartition } from "#core/kafka/cluster.ts";
import {
  isControl,
  isTransactional,
  lastOffsetOf,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";

const noProducerId = -1n;
/** A marker is a record of some 20 bytes; KRaft's control records stay below this as well. */
const controlBodyBytesMax = 64 * 1024;

/** ControlRecordKey => Version INT16, Type INT16 (0 abort, 1 commit); later versions may add. */
const controlKeyBytesMin = 4;
const controlKeyTypeOffset = 2;
const controlTypeAbort = 0;

/** `control`: a marker, never restored; its offset is used up like that of any record. */
export type BatchVisibility = "keep" | "aborted" | "control";

/** For the batches of one fetch response, asked for each batch once and in ascending order. */
export class AbortedTransactionFilter {
  readonly #at: TopicPartition;
  /** Not yet begun, the last one first. */
  readonly #pending: AbortedTransaction[];
  /** Producer ids within an aborted transaction. */
  readonly #aborting = new Set<bigint>();

  /** `aborted` as the broker lists them for the response; in any order. */
  constructor(aborted: readonly AbortedTransaction[], at: TopicPartition) {
    this.#at = at;
    this.#pending = aborted.toSorted((a, b) => Number(b.firstOffset - a.firstOffset));
  }

  /**
   * Whether a consumer would see the records of the batch at `position`. Batches that compaction
   * emptied are classified like others. Throws CorruptRecordBatchError for a malformed marker.
   */
  classify(header: RecordBatchHeader, buffer: Buffer, position: number): BatchVisibility {
    const { producerId } = header;
    if (producerId !== noProducerId) this.#beginUpTo(lastOffsetOf(header));
    if (isControl(header)) {
      if (this.#isAbortMarker(header, buffer, position)) this.#aborting.delete(producerId);
      return "control";
    }
    return isTransactional(header) && this.#aborting.has(producerId) ? "aborted" : "keep";
  }

  #beginUpTo(offset: bigint): void {
    for (;;) {
      const next = this.#pending.at(-1);
      if (next === undefined || next.firstOffset > offset) return;
      this.#aborting.add(next.producerId);
      this.#pending.pop();
    }
  }

  #isAbortMarker(header: RecordBatchHeader, buffer: Buffer, position: number): boolean {
    if (header.recordCount === 0) return false;
    const body = bodyOf(header, buffer, position, this.#at, controlBodyBytesMax);
    const cursor = new RecordCursor(header, body, this.#at);
    cursor.next();
    if (cursor.keyBytes < controlKeyBytesMin || body.readInt16BE(cursor.keyStart) < 0) {
      throw corruptBatch(this.#at, header.baseOffset, "is a control batch without a control key");
    }
    return body.readInt16BE(cursor.keyStart + controlKeyTypeOffset) === controlTypeAbort;
  }
}
