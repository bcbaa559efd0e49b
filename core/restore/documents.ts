/**
 * The documents of one restore, under `restores/{restore_id}/` of its backup. All are write-once:
 * a restore that was interrupted at any point finds in them what it had promised itself.
 */
import { z } from "zod";
import { formatVersion } from "#core/catalog/manifest.ts";
import { int64 } from "#core/json.ts";
import { finding } from "#core/restore/findings.ts";

const count = z.int().min(0);

/** Inclusive at both ends, Unix milliseconds; an absent end is open (R9). */
export const timeWindow = z.object({ start: int64.optional(), end: int64.optional() });
export type TimeWindow = z.infer<typeof timeWindow>;

/** One source partition and where its records go. */
export const partitionPlan = z.object({
  source_partition: count,
  target_partition: count,
  lineage: z.int().min(1),
});
export type PartitionPlan = z.infer<typeof partitionPlan>;

export const topicPlan = z.object({
  source_topic: z.string(),
  target_topic: z.string(),
  /** Null where the topic did not exist when the restore was planned. */
  target_topic_id: z.string().nullable(),
  partition_count: z.int().min(1),
  replication_factor: z.int().min(1),
  /** Settings of the topic's own at the plan; the configuration to create it with, else. */
  config: z.record(z.string(), z.string()),
  /** What holds while restoring; max.message.bytes at least. */
  settings_during: z.record(z.string(), z.string()),
  partitions: z.array(partitionPlan),
});
export type TopicPlan = z.infer<typeof topicPlan>;

/** `intent.json`: stored before anything is created or changed. */
export const restoreIntent = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  restore_id: z.string(),
  created_at: int64,
  /** SHA-256 of what was asked for: the same command again continues this restore. */
  request_sha256: z.string(),
  manifest: z.object({ generation: z.int().min(1), sha256: z.string() }),
  target_cluster_id: z.string(),
  window: timeWindow,
  /** Whether records get the headers of `offset-headers.ts`; absent: they do not. */
  include_offset_headers: z.boolean().optional(),
  topics: z.array(topicPlan),
  /** Warnings and notes of the checks before the first write. */
  findings: z.array(finding),
});
export type RestoreIntent = z.infer<typeof restoreIntent>;

/**
 * `targets/{target topic}.json`: the topic as it was when the restore first found or made it,
 * before any of its settings was changed: what is put back afterwards.
 */
export const restoreTarget = z.object({
  topic: z.string(),
  topic_id: z.string(),
  /** True where the restore made it. */
  created: z.boolean(),
  /** Of the settings that are changed while restoring; null where the broker keeps one secret. */
  settings_before: z.record(
    z.string(),
    z.object({ value: z.string().nullable(), of_topic: z.boolean() }),
  ),
});
export type RestoreTarget = z.infer<typeof restoreTarget>;

/**
 * `partitions/{target topic}/{target partition}/start.json`: stored before the first produce.
 * Every attempt writes as this producer, and record number i must land at `base_offset` + i.
 */
export const partitionStart = z.object({
  topic_id: z.string(),
  producer_id: int64,
  producer_epoch: z.int(),
  base_offset: int64,
});
export type PartitionStart = z.infer<typeof partitionStart>;

/** How the target's batches came about: sent as stored, or decoded and encoded again. */
export const sentBatches = z.object({ bytes: count, raw: count, encoded: count });
export type SentBatches = z.infer<typeof sentBatches>;

/**
 * `partitions/{target topic}/{target partition}/checkpoint-{sequence, 8 digits}.json`: the first
 * `record_count` output records are in the target, made of all source offsets below
 * `next_offset`; the offset map up to there is in the `map.name` of this and the earlier parts.
 */
export const restoreCheckpoint = z.object({
  sequence: count,
  written_at: int64,
  record_count: int64,
  next_offset: int64,
  sent: sentBatches,
  map: z.object({ name: z.string(), bytes: count, sha256: z.string(), run_count: count }),
});
export type RestoreCheckpoint = z.infer<typeof restoreCheckpoint>;

/** `partitions/{target topic}/{target partition}/result.json`: all records are in the target. */
export const partitionResult = z.object({
  source_topic: z.string(),
  source_partition: count,
  target_topic: z.string(),
  target_partition: count,
  lineage: z.int().min(1),
  /** Target offsets `[start_offset, end_offset)` hold the restored records, and nothing else. */
  start_offset: int64,
  end_offset: int64,
  record_count: int64,
  sent: sentBatches,
  /** Exclusive source end: where a group that had read all of it continues. */
  source_end_offset: int64,
});
export type PartitionResult = z.infer<typeof partitionResult>;

/** `partitions/{target topic}/{target partition}/verified.json`: read back and found right. */
export const verifiedPartition = z.object({ record_count: int64, verified_at: int64 });
export type VerifiedPartition = z.infer<typeof verifiedPartition>;

/** A setting that stays as it was while restoring, because its own value would delete records. */
export const keptSetting = z.object({
  topic: z.string(),
  name: z.string(),
  value: z.string(),
  /** What it was before, or is by default. */
  wanted: z.string(),
  reason: z.string(),
  /** The command that sets it. */
  command: z.string(),
});
export type KeptSetting = z.infer<typeof keptSetting>;

/** `restored/{target topic}.json`: verified, and its settings put back but for `kept`. */
export const restoredTopic = z.object({
  topic: z.string(),
  topic_id: z.string(),
  restored_at: int64,
  kept: z.array(keptSetting),
});
export type RestoredTopic = z.infer<typeof restoredTopic>;

/** `abandoned.json`: given up; its settings were put back. */
export const abandonedRestore = z.object({ abandoned_at: int64 });
export type AbandonedRestore = z.infer<typeof abandonedRestore>;
