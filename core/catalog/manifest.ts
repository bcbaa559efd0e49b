/**
 * The documents that describe a backup (docs/format.md). Schemas are the source of the types.
 * Unknown fields are kept out and ignored, so that later versions may add optional ones; an
 * unknown `format_version` is refused before anything else is looked at.
 */
import { z } from "zod";
import { int64, recordOf } from "#core/json.ts";

export const formatVersion = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits");
const count = z.int().min(0);
const offset = int64;
/** Unix milliseconds. */
const timestamp = int64;

/** A write-once object that another document vouches for. `key` is relative to the backup. */
export const objectReference = z.object({ key: z.string(), sha256, bytes: count });
export type ObjectReference = z.infer<typeof objectReference>;

/** Offsets `[from_offset, to_offset)` of a partition that the backup does not hold, and why. */
export const gap = z.object({
  from_offset: offset,
  to_offset: offset,
  /** `retention`: deleted from the log before it was read. */
  reason: z.enum(["retention"]),
  run_id: z.string(),
  detected_at: timestamp,
});
export type Gap = z.infer<typeof gap>;

/** Batches that were read and, as a read_committed consumer would, not kept. */
export const droppedBatches = z.object({ aborted: count, control: count, empty: count });
export type DroppedBatches = z.infer<typeof droppedBatches>;

export const totals = z.object({
  segment_count: count,
  batch_count: count,
  record_count: count,
  /** Bytes of the kept record batches, as Kafka stores them. */
  batch_bytes: count,
  /** Bytes of the segment objects. */
  stored_bytes: count,
});
export type Totals = z.infer<typeof totals>;

/** One stored object of consecutive record batches, as a run list names it. */
export const segmentEntry = z.object({
  key: z.string(),
  start_offset: offset,
  /** Inclusive: the last offset that the last batch covers. */
  end_offset: offset,
  /** The smallest record timestamp; only where all records were decoded. */
  start_timestamp: timestamp.optional(),
  /** The largest maxTimestamp of the batches. */
  end_timestamp: timestamp,
  record_count: count,
  batch_count: count,
  batch_bytes: count,
  stored_bytes: count,
  sha256,
  index_bytes: count,
  index_sha256: sha256,
  /** Where each partition leader epoch of the segment begins. */
  leader_epochs: z.array(z.object({ epoch: z.int(), start_offset: offset })),
});
export type SegmentEntry = z.infer<typeof segmentEntry>;

/** `runs/{run_id}/topics/{topic}.json`: the segments that one run added to one topic. */
export const runList = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  run_id: z.string(),
  topic: z.string(),
  partitions: z.array(
    z.object({
      partition: count,
      lineage: z.int().min(1),
      topic_id: z.string(),
      /** In ascending order of offsets, without overlap. */
      segments: z.array(segmentEntry),
    }),
  ),
});
export type RunList = z.infer<typeof runList>;

/** `runs/{run_id}/run.json`: what one run added to the backup. */
export const runDocument = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  run_id: z.string(),
  cluster: objectReference,
  lists: z.array(objectReference.extend({ topic: z.string() })),
});
export type RunDocument = z.infer<typeof runDocument>;

/** A run as the manifest names it. */
export const runEntry = z.object({
  run_id: z.string(),
  started_at: timestamp,
  /** When the end offsets were read: records with later timestamps may be missing. */
  planned_at: timestamp,
  finished_at: timestamp,
  /** Token of the lease under which the run was committed. */
  lease_token: count,
  run: objectReference,
  totals,
});
export type RunEntry = z.infer<typeof runEntry>;

/** `manifests/runs-{first}-{last}.json`: entries that a manifest refers to instead of repeating. */
export const runPage = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  runs: z.array(runEntry),
});
export type RunPage = z.infer<typeof runPage>;

/**
 * One life of a partition: from the creation of its topic, or from the truncation of its log,
 * to the next such event. Offsets of different lineages have nothing to do with each other.
 */
export const lineageState = z.object({
  lineage: z.int().min(1),
  topic_id: z.string(),
  first_planned_at: timestamp,
  /** Plan time of the last run that read the partition up to its planned end; -1: none yet. */
  last_planned_at: timestamp,
  /** Where the first run began to read; a first batch may begin before: restores skip that part. */
  start_offset: offset,
  /** Exclusive end: where the next run continues. */
  next_offset: offset,
  /** Leader epoch of the last batch read, archived or dropped; -1 before the first. */
  last_leader_epoch: z.int(),
  /** Largest maxTimestamp archived; -1 before the first batch. */
  max_timestamp: timestamp,
  totals,
  dropped: droppedBatches,
  gaps: z.array(gap),
});
export type LineageState = z.infer<typeof lineageState>;

export const partitionState = z.object({
  partition: count,
  /** Oldest first; the last one is what restores take unless told otherwise. */
  lineages: z.array(lineageState).min(1),
});
export type PartitionState = z.infer<typeof partitionState>;

export const topicState = z.object({
  name: z.string(),
  partition_count: z.int().min(1),
  replication_factor: z.int().min(1),
  /** Settings that differ from the cluster's defaults, at the last run that saw the topic. */
  config: z.record(z.string(), z.string()),
  partitions: z.array(partitionState),
});
export type TopicState = z.infer<typeof topicState>;

/** `manifests/{generation, 8 digits}.json`: creating it is the commit of a run. */
export const manifest = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  /** 1 for the first manifest of a backup, then one more each. */
  generation: z.int().min(1),
  created_at: timestamp,
  /** Name and version of the software that wrote this, for support. */
  created_by: z.string(),
  cluster_id: z.string(),
  /** SHA-256 of the bytes of the manifest before; null in generation 1. */
  previous_sha256: sha256.nullable(),
  /** What a restore does that is not told otherwise; absent: nothing of these. */
  restore_defaults: z.object({ include_offset_headers: z.boolean() }).optional(),
  topics: z.array(topicState),
  /** Older runs, oldest page first. */
  run_pages: z.array(objectReference.extend({ run_count: count })),
  /** The newest runs, oldest first. */
  runs: z.array(runEntry),
});
export type Manifest = z.infer<typeof manifest>;

/** A topic as a run found it. */
export const clusterTopic = z.object({
  name: z.string(),
  topic_id: z.string(),
  partition_count: z.int().min(1),
  replication_factor: z.int().min(1),
  /** Settings of the topic's own. */
  config: z.record(z.string(), z.string()),
});
export type ClusterTopic = z.infer<typeof clusterTopic>;

/** `runs/{run_id}/cluster.json`: what the cluster looked like when the run was planned. */
export const clusterDocument = z.object({
  format_version: z.literal(formatVersion),
  cluster_id: z.string(),
  read_at: timestamp,
  topics: z.array(clusterTopic),
  /** Undefined where the credentials may not describe ACLs. */
  acls: z.array(z.record(z.string(), z.string())).optional(),
  /** Committed offsets by group, then by `topic-partition`; read before the end offsets (F5). */
  consumer_groups: recordOf(
    z.object({
      partitions: recordOf(
        z.object({ offset, metadata: z.string(), leader_epoch: z.int().optional() }),
      ),
    }),
  ),
  /** Groups that could not be read, with the reason. */
  unread_groups: z.array(z.object({ group: z.string(), reason: z.string() })),
  /**
   * False when the credentials lacked Describe on the cluster: Kafka then leaves out of a list
   * groups that they may not describe, without a word (K8).
   */
  groups_complete: z.boolean().optional(),
});
export type ClusterDocument = z.infer<typeof clusterDocument>;
