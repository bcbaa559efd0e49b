/**
 * The documents of one three-phase restore, under `three-phase/{id}/` of its backup. All are
 * write-once: whoever continues one finds in them what was promised and how far it came.
 */
import { z } from "zod";
import { formatVersion } from "#core/catalog/manifest.ts";
import { int64 } from "#core/json.ts";
import {
  offsetPlan,
  offsetSource,
  offsetStrategies,
  plannedOffset,
} from "#core/offsets/contract.ts";
import { timeWindow } from "#core/restore/documents.ts";

const count = z.int().min(0);

/** Where a group stood in the source, as `readPositions` found it. */
const groupPosition = z.object({
  group: z.string(),
  source_topic: z.string(),
  source_partition: count,
  offset: int64,
  metadata: z.string(),
  read_at: int64,
  from: z.string(),
});

const leftAlone = offsetPlan.shape.left_alone;

/** The run of `backup_first`. */
const firstBackup = z.object({
  run_id: z.string(),
  generation: z.int().min(1),
  record_count: count,
});
export type FirstBackup = z.infer<typeof firstBackup>;

/**
 * `intent.json`: stored before anything is written to the target. From here on the positions are
 * fixed: neither the restore, nor a snapshot or backup run meanwhile, changes them.
 */
export const threePhaseIntent = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  three_phase_id: z.string(),
  created_at: int64,
  /** SHA-256 of what was asked for: the same command again continues this one. */
  request_sha256: z.string(),
  restore_request_sha256: z.string(),
  target_cluster_id: z.string(),
  /** The restore that had brought the records before. */
  finished_restore_id: z.string().optional(),
  /** Whether the restore is to be begun anew. */
  start_new: z.boolean(),
  /** Restores of the same request that were over before: none of them is this one's. */
  past_restores: z.array(z.string()),
  /** Bare names, ascending. */
  groups: z.array(z.string()),
  strategy: z.enum(offsetStrategies),
  offset_source: offsetSource,
  positions: z.array(groupPosition),
  left_alone: leftAlone,
  backup_first: firstBackup.optional(),
  /** Of the preparation up to here. */
  duration_ms: count,
});
export type ThreePhaseIntent = z.infer<typeof threePhaseIntent>;

/**
 * `snapshot.json`: the safety snapshot, durable before the first write to the target (R7).
 * `resets/{attempt, 8 digits}/snapshot.json`: another one, durable before that attempt's first
 * commit; versions before it was introduced have none.
 */
export const safetySnapshot = z.object({ snapshot_id: z.string(), taken_at: int64 });
export type SafetySnapshot = z.infer<typeof safetySnapshot>;

/** `restored.json`: which restore brought the records. */
export const threePhaseRestored = z.object({
  restore_id: z.string(),
  restored_at: int64,
  /** True where an earlier command had restored them. */
  already_done: z.boolean(),
  /** Of the last attempt. */
  duration_ms: count,
});
export type ThreePhaseRestored = z.infer<typeof threePhaseRestored>;

/**
 * `resets/{attempt, 8 digits}/rolled-back.json`: the attempt failed, was rejected, or was cut off
 * and undone by the next one. `plan.json` beside it, where there is one, is the plan that it was to carry out.
 */
export const rolledBackReset = z.object({
  rolled_back_at: int64,
  /** Why the attempt failed. */
  reason: z.string(),
  /** Of the plan. `as_before`: every planned partition is as the attempt's snapshot says. */
  groups: z.array(
    z.object({
      group: z.string(),
      status: z.enum(["as_before", "not_rolled_back"]),
      reason: z.string().optional(),
    }),
  ),
});
export type RolledBackReset = z.infer<typeof rolledBackReset>;

/**
 * `resets/{attempt, 8 digits}/approval.json`: what an execution that waits for an approval asks.
 * The token is of the newest question; answers to those before it have no effect.
 */
export const resetApproval = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  three_phase_id: z.string(),
  attempt: z.int().min(1),
  execution_arn: z.string(),
  task_token: z.string(),
  asked_at: int64,
  /** Without an answer until then nothing is reset. */
  expires_at: int64,
  restore_id: z.string(),
  restored_records: int64,
  strategy: z.enum(offsetStrategies),
  offset_source: offsetSource,
  /** The whole plan, relative to the storage's root. */
  plan: z.string(),
  groups: z.object({
    count,
    first: z.array(
      z.object({
        group: z.string(),
        partitions: count,
        /** Partitions in which no offset is decided; they stay as they are. */
        undecided: count,
        /** Records between where the group will stand and the end. */
        lag: int64,
      }),
    ),
  }),
  left_alone: count,
  /** To be pasted into a shell with the AWS command line, e.g. CloudShell. */
  approve: z.string(),
  reject: z.string(),
});
export type ResetApproval = z.infer<typeof resetApproval>;

export const threePhases = ["prepare", "restore", "reset"] as const;
export type ThreePhase = (typeof threePhases)[number];

const reportedPartition = plannedOffset.extend({
  /** Read back after the reset; null for none, absent where the strategy only recommends. */
  committed_offset: int64.nullable().optional(),
});

/** `report.json`: creating it is what finishes a three-phase restore. */
export const threePhaseReport = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  three_phase_id: z.string(),
  request_sha256: z.string(),
  /** `reset`: offsets were set and read back; `recommended`: the strategy leaves that to people. */
  outcome: z.enum(["reset", "recommended"]),
  target_cluster_id: z.string(),
  /** Where the groups stood before the restore. */
  safety_snapshot_id: z.string(),
  /** Where they stood before the reset; absent where the strategy only recommends. */
  reset_snapshot_id: z.string().optional(),
  restore_id: z.string(),
  window: timeWindow,
  strategy: z.enum(offsetStrategies),
  offset_source: offsetSource,
  started_at: int64,
  finished_at: int64,
  /** True where an earlier attempt did a part. */
  resumed: z.boolean(),
  /** Attempts to reset before this one, which failed, were cut off or rejected. */
  earlier_resets: count,
  /** Of the attempt that finished each. */
  phases: z.array(z.object({ phase: z.enum(threePhases), duration_ms: count })),
  backup_first: firstBackup.optional(),
  restored: z.object({
    /** Restored records, each read back and compared with the backup. */
    record_count: int64,
    partition_count: count,
    topics: z.array(
      z.object({ source_topic: z.string(), target_topic: z.string(), record_count: int64 }),
    ),
  }),
  groups: z.array(z.object({ group: z.string(), partitions: z.array(reportedPartition) })),
  left_alone: leftAlone,
});
export type ThreePhaseReport = z.infer<typeof threePhaseReport>;

/** `abandoned.json`: given up, or never begun because another one was first. */
export const abandonedThreePhase = z.object({ abandoned_at: int64 });
export type AbandonedThreePhase = z.infer<typeof abandonedThreePhase>;
