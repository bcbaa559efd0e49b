/** What the steps of a backup are handed and what they answer; the order of steps is in `run.ts`. */
import { z } from "zod";
import type { ByteRate } from "#core/byte-rate.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { clusterDocument, clusterTopic, formatVersion, type Gap } from "#core/catalog/manifest.ts";
import { int64 } from "#core/json.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { FailedPartition } from "#core/partition-failure.ts";
import type { Clock, Logger, NewId, OnProgress } from "#core/runtime.ts";
import { frameCodecNames } from "#core/segment/codecs.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface BackupDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly newId: NewId;
  readonly onProgress?: OnProgress;
  /** Of what is read from Kafka, all partitions of this process together; undefined: no limit. */
  readonly byteRate?: ByteRate | undefined;
}

/** How segments are written. */
export const segmentSettings = z.object({
  compression: z.enum(frameCodecNames),
  compression_level: z.int().optional(),
  recompress: z.enum(["never", "frame"]),
  /** Bytes of record batches after which a new segment begins. */
  segment_max_bytes: z.int().min(1),
  /** At most this long between durable checkpoints while data flows. */
  checkpoint_interval_ms: z.int().min(1),
});
export type SegmentSettings = z.infer<typeof segmentSettings>;

export const backupRequest = z.object({
  backup_id: z.string(),
  topics: z.object({
    include: z.array(z.string()).min(1),
    exclude: z.array(z.string()),
    allow_no_match: z.boolean().optional(),
  }),
  segments: segmentSettings,
  max_concurrent_partitions: z.int().min(1),
  /** Of record batches as they come from Kafka, in the whole run; no limit unless said. */
  max_bytes_per_second: z.int().min(1).optional(),
  /**
   * The default of restores out of this backup, as of this run's manifest: whether records get
   * headers with their source offset and timestamp. A backup's own bytes do not depend on it.
   */
  include_offset_headers: z.boolean().optional(),
});
export type BackupRequest = z.infer<typeof backupRequest>;

/**
 * Where a range of a partition's offsets begins: the offset and leader epoch of its first batch.
 * Within one log these two name a batch for good, and with it all that lies before it (KIP-101).
 */
export const rangeStart = z.object({ from_offset: int64, leader_epoch: z.int().min(0) });

/**
 * One partition's part of a run, or one range of it: read the batches with a base offset in
 * `[start_offset, end_offset)` of one lineage.
 */
export const partitionWork = z.object({
  topic: z.string(),
  topic_id: z.string(),
  partition: z.int().min(0),
  lineage: z.int().min(1),
  /** Where reading of this lineage began in this run, or goes on after an earlier attempt. */
  start_offset: int64,
  /** The last stable offset at the plan (F5). */
  end_offset: int64,
  /** Of the leader at the plan. */
  leader_epoch: z.int(),
  /** Of the lineage's last batch read, kept or dropped; -1 before the first. */
  last_leader_epoch: z.int(),
  /** Where a partition is read in several ranges: which one. Absent: the first, or all of it. */
  range: rangeStart.optional(),
  /** Leader epoch of the batch at `end_offset`, where another range begins there. */
  end_leader_epoch: z.int().optional(),
});
export type PartitionWork = z.infer<typeof partitionWork>;

/** A range of a partition beside its first one. It ends where the next one begins. */
export const plannedRange = rangeStart.extend({
  topic: z.string(),
  partition: z.int().min(0),
  lineage: z.int().min(1),
  /** Where reading goes on; `from_offset` where none of it was read. */
  start_offset: int64,
  last_leader_epoch: z.int(),
});
export type PlannedRange = z.infer<typeof plannedRange>;

/** `state/runs/{state_id}/plan.json`. A resumed run is planned anew and keeps its checkpoints. */
export const backupPlan = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  /** Names the run's documents; a new one for each plan. */
  run_id: z.string(),
  /** Names the run's checkpoints; stays when an interrupted run is planned again. */
  state_id: z.string(),
  started_at: int64,
  planned_at: int64,
  base: z.object({ generation: z.int().min(0), sha256: z.string().nullable() }),
  cluster: clusterDocument,
  segments: segmentSettings,
  /** As the request says; the manifest's `restore_defaults`. */
  include_offset_headers: z.boolean().optional(),
  partitions: z.array(partitionWork),
  /**
   * In ascending order within a partition; absent: every partition is read as a whole. Those of
   * partitions and lineages that are not planned any longer are what an earlier attempt had begun.
   */
  ranges: z.array(plannedRange).default([]),
  /**
   * Topics that an earlier attempt of this run read, and that are gone or no longer selected:
   * what was archived of them is committed all the same.
   */
  left_behind: z.array(clusterTopic.extend({ partitions: z.array(z.int().min(0)) })),
});
export type BackupPlan = z.infer<typeof backupPlan>;

export const backupPartitionRequest = z.object({
  backup_id: z.string(),
  run_id: z.string(),
  state_id: z.string(),
  segments: segmentSettings,
  work: partitionWork,
});
export type BackupPartitionRequest = z.infer<typeof backupPartitionRequest>;

/** `continue`: the deadline came first; the same request again goes on from the checkpoint. */
export interface BackupPartitionOutcome {
  readonly status: "done" | "continue";
  readonly next_offset: bigint;
}

/** A hanging transaction holds back the last stable offset and so what a backup may hold (F5). */
export interface HangingTransaction {
  readonly topic: string;
  readonly partition: number;
  readonly producer_id: bigint;
  readonly start_offset: bigint;
  readonly age_ms: number;
}

export interface GapOfPartition extends Gap {
  readonly topic: string;
  readonly partition: number;
}

export interface BackupResult {
  readonly status: "done" | "done_with_gaps";
  readonly backup_id: string;
  readonly run_id: string;
  readonly generation: number;
  readonly topics: number;
  readonly partitions: number;
  readonly record_count: number;
  readonly batch_count: number;
  readonly batch_bytes: number;
  readonly stored_bytes: number;
  readonly segment_count: number;
  /** Of this run, earlier attempts of it included. */
  readonly gaps: readonly GapOfPartition[];
  readonly failed: readonly FailedPartition[];
  readonly hanging_transactions: readonly HangingTransaction[];
  /** Where open transactions could not be asked for; the partitions are backed up all the same. */
  readonly unread_transactions: readonly FailedPartition[];
  readonly resumed: boolean;
  readonly duration_ms: number;
  /** For so long brokers held the run back by a quota, the sum over the brokers. */
  readonly throttled_ms: number;
}
