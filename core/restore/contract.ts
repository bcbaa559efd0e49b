/** What the steps of a restore are handed and what they answer; the order of steps is in `run.ts`. */
import { z } from "zod";
import type { ByteRate } from "#core/byte-rate.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { int64 } from "#core/json.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type PartitionResult, timeWindow } from "#core/restore/documents.ts";
import type { Clock, Logger, NewId, OnProgress } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface RestoreDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  /** The target. */
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly newId: NewId;
  readonly onProgress?: OnProgress;
  /**
   * Of what is sent to Kafka and read back, all partitions of this process together; undefined:
   * no limit.
   */
  readonly byteRate?: ByteRate | undefined;
}

/** One source partition into one target partition: the work of one worker. */
export const restorePartitionRequest = z.object({
  backup_id: z.string(),
  restore_id: z.string(),
  manifest: z.object({ generation: z.int().min(1), sha256: z.string() }),
  window: timeWindow,
  /** Whether records get the headers of `offset-headers.ts`; they do not where it is absent. */
  include_offset_headers: z.boolean().optional(),
  source_topic: z.string(),
  source_partition: z.int().min(0),
  lineage: z.int().min(1),
  target_topic: z.string(),
  target_partition: z.int().min(0),
  target_topic_id: z.string(),
  /** max.message.bytes of the target while restoring: bytes of a whole batch. */
  max_message_bytes: z.int().min(1),
  /** At most this long between durable checkpoints while data flows. */
  checkpoint_interval_ms: z.int().min(1),
  /** Batches of fewer bytes are coalesced: `coalesceBelowBytesDefault` unless said, 0 for none. */
  coalesce_below_bytes: z.int().min(0).optional(),
});
export type RestorePartitionRequest = z.infer<typeof restorePartitionRequest>;

/** `continue`: the deadline came first; the same request again goes on from the checkpoint. */
export type RestorePartitionOutcome =
  | { readonly status: "done"; readonly result: PartitionResult }
  | {
      readonly status: "continue";
      readonly record_count: bigint;
      readonly next_offset: bigint;
    };

/** How far a verification has come: the first `record_count` records of the target are right. */
export const verifyCursor = z.object({ record_count: int64, next_offset: int64 });
export type VerifyCursor = z.infer<typeof verifyCursor>;

export const verifyPartitionRequest = restorePartitionRequest.extend({
  /** Of the `continue` before; absent at the beginning. */
  cursor: verifyCursor.optional(),
});
export type VerifyPartitionRequest = z.infer<typeof verifyPartitionRequest>;

export type VerifyPartitionOutcome =
  | { readonly status: "verified"; readonly record_count: bigint }
  | ({ readonly status: "continue" } & Readonly<VerifyCursor>);
