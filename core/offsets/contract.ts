/**
 * What the steps around consumer groups hand each other: positions that were committed once,
 * the plan that says where each group shall stand, and what became of it.
 *
 * A *position* is what a group had committed in a source partition at some time. A *plan* holds,
 * for each group and target partition, what is committed now and what shall be. Nothing but
 * `change-groups.ts` writes to a cluster.
 */
import { z } from "zod";
import { formatVersion } from "#core/catalog/manifest.ts";
import { int64, recordOf } from "#core/json.ts";

/** A committed offset as snapshots and `cluster.json` store it, by `topic-partition`. */
export const committedOffset = z.object({
  /** The next record that the group would have read. */
  offset: int64,
  /** What the consumer stored with it; Kafka Streams keeps its own time there. */
  metadata: z.string(),
  /** Of the record before; absent where the consumer gave none. */
  leader_epoch: z.int().optional(),
});
export type CommittedOffset = z.infer<typeof committedOffset>;

/** Kafka's group types (KIP-848); `unknown` where the brokers are too old to say. */
export const groupTypes = ["classic", "consumer", "unknown"] as const;

/** Group names are any string that Kafka takes: never use one as a key or in a shell unquoted. */
export const snapshotGroup = z.object({
  type: z.enum(groupTypes).optional(),
  /** Kafka's word, e.g. `Empty`, `Stable`; `Dead` for a group that did not exist. */
  state: z.string().optional(),
  /** By `topic-partition`; empty for a group without committed offsets. */
  partitions: recordOf(committedOffset),
});
export type SnapshotGroup = z.infer<typeof snapshotGroup>;

/**
 * `snapshots/{snapshot_id}.json`: what groups had committed at one moment. Write-once. The first
 * four fields are those that users script against.
 */
export const offsetSnapshot = z.object({
  snapshot_id: z.string(),
  description: z.string(),
  /** ISO 8601, UTC, when the offsets had been read. */
  created_at: z.iso.datetime(),
  consumer_groups: recordOf(snapshotGroup),
  format_version: z.literal(formatVersion),
  cluster_id: z.string(),
  /** True when every group of the cluster was asked for: one that is absent had no offsets. */
  all_groups: z.boolean(),
  /**
   * False when the credentials lacked Describe on the cluster: Kafka then leaves out of a list
   * groups that they may not describe, without a word.
   */
  groups_complete: z.boolean().default(true),
  /**
   * True for one that a command took before it changed the groups, to undo that. It is no position
   * to translate unless it is named: a reset that is repeated would start from its own undoing.
   */
  safety: z.boolean().optional(),
  /** The ids of the topics in `consumer_groups` that existed. */
  topics: recordOf(z.object({ topic_id: z.string() })),
  /** Groups that were asked for and could not be read. */
  unread_groups: z.array(z.object({ group: z.string(), reason: z.string() })),
});
export type OffsetSnapshot = z.infer<typeof offsetSnapshot>;

/** Names or globs, or every group that there is. */
export const groupSelection = z.union([
  z.object({ groups: z.array(z.string().min(1)).min(1) }),
  z.object({ all: z.literal(true) }),
]);
export type GroupSelection = z.infer<typeof groupSelection>;

export const offsetStrategies = [
  "offset-map",
  "header-based",
  "timestamp-based",
  "cluster-scan",
  "manual",
  "skip",
] as const;
export type OffsetStrategy = (typeof offsetStrategies)[number];

/** Strategies whose plan is a recommendation: nothing is ever committed. */
export const reportOnlyStrategies: readonly OffsetStrategy[] = ["cluster-scan", "manual", "skip"];

/**
 * Which position of a group counts. `at-window-end`: the newest one known at or before the end of
 * the restored window; `latest`: the newest one known; `current`: what is committed now;
 * `snapshot:ID`: that snapshot's.
 */
export const offsetSource = z.union([
  z.enum(["at-window-end", "latest", "current"]),
  z.templateLiteral(["snapshot:", z.string().min(1)]),
]);
export type OffsetSource = z.infer<typeof offsetSource>;

/** Why a group shall stand there. */
export const offsetReasons = [
  /** The record at the position was restored, and this is where it is. */
  "exact",
  /** It was not restored (outside the window, compacted, a marker): the next one that was. */
  "next-restored",
  /** No record from the position on was restored: the restored end. */
  "restored-end",
  /** The group had read further than the backup reaches: the restored end. */
  "beyond-archive",
  /** By the `x-original-offset` header. */
  "header",
  /** By the timestamp of the record at the position. */
  "timestamp",
  /** By the content of the record at the position. */
  "content",
  /** Not decided: left as it is. */
  "undecided",
] as const;

export const plannedOffset = z.object({
  /** The target. */
  topic: z.string(),
  partition: z.int().min(0),
  source_topic: z.string(),
  source_partition: z.int().min(0),
  /** The position in the source. */
  source_offset: int64,
  /** When it was committed there at the latest: Unix milliseconds of the snapshot's reading. */
  source_read_at: int64,
  /** Committed in the target now; null for none; absent in a plan made without the cluster. */
  current_offset: int64.nullable().optional(),
  /** Where the group shall stand; null where that is not decided. */
  target_offset: int64.nullable(),
  reason: z.enum(offsetReasons),
  /** One sentence for people, where the reason alone does not say it. */
  note: z.string().optional(),
  /** Committed together with the offset. */
  metadata: z.string(),
  /** The target's end: of the log with the cluster, else of what was restored. */
  end_offset: int64,
  /** Records between `target_offset` and `end_offset`; null where the first is. */
  lag: int64.nullable(),
});
export type PlannedOffset = z.infer<typeof plannedOffset>;

export const offsetPlan = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  /** The restore whose offset map was used; absent for strategies without one. */
  restore_id: z.string().optional(),
  strategy: z.enum(offsetStrategies),
  offset_source: offsetSource,
  /** Of the target; absent in a plan made without the cluster and without a restore. */
  target_cluster_id: z.string().optional(),
  /** Of the target topics, when the plan was made; absent where nothing told them. */
  target_topics: recordOf(z.object({ topic_id: z.string() })).optional(),
  created_at: int64,
  groups: z.array(
    z.object({
      group: z.string(),
      /** Ascending by topic and partition. */
      partitions: z.array(plannedOffset),
    }),
  ),
  /** What stays as it is, and why: groups that could not be read, partitions not restored. */
  left_alone: z.array(
    z.object({
      group: z.string(),
      topic: z.string().optional(),
      partition: z.int().min(0).optional(),
      reason: z.string(),
      /** True for a group that nobody could read: it may have stood in what was restored. */
      unread: z.boolean().optional(),
      /** True where it was restored, and the target topic was deleted or created anew since. */
      gone: z.boolean().optional(),
    }),
  ),
});
export type OffsetPlan = z.infer<typeof offsetPlan>;

/** What a group shall have committed afterwards; partitions that are not named stay untouched. */
export interface GroupChange {
  readonly group: string;
  readonly commits: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly offset: bigint;
    /** -1 for none: a foreign epoch would make a consumer read nothing (R8). */
    readonly leaderEpoch: number;
    readonly metadata: string;
  }[];
  /** Committed offsets to remove. */
  readonly deletions: readonly { readonly topic: string; readonly partition: number }[];
}

/** What became of one group. */
export interface GroupOutcome {
  readonly group: string;
  /** `changed`: committed and read back equal; `failed`: at least one partition is not. */
  readonly status: "changed" | "failed";
  readonly committed: number;
  readonly deleted: number;
  /** Of the failed partitions. */
  readonly failures: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly reason: string;
  }[];
}
