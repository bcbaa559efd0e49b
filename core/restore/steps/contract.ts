/**
 * A restore whose steps are done by many processes, each for a part of it: what they hand to one
 * another. The order of the steps is in statemachines/restore.asl.json; `core/restore/run.ts` does
 * the same in one process. All of it is plain JSON and small, whatever the number of partitions:
 * what grows with that is in the bucket (`core/storage/restore-work-keys.ts`).
 */
import { z } from "zod";
import type { LeaseScope } from "#core/catalog/catalog.ts";
import { int64 } from "#core/json.ts";
import { type RestoreDeps, verifyCursor } from "#core/restore/contract.ts";
import { type KeptSetting, type SentBatches, timeWindow } from "#core/restore/documents.ts";
import type { Finding } from "#core/restore/findings.ts";
import { restoreWork } from "#core/restore/partition-runs.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { type Excerpt, excerptOf } from "#core/work-items/excerpt.ts";
import { failedPartitionDocument } from "#core/work-items/failures.ts";

/** What the steps need that do not talk to Kafka. */
export type CatalogDeps = Pick<RestoreDeps, "storage" | "catalog" | "clock" | "logger">;

export const leaseHolder = z.object({ owner: z.string(), token: z.int() });

/** A restore that was begun or is continued: the first step answers it, the others are handed it. */
export const restoreRun = z.object({
  backup_id: z.string(),
  restore_id: z.string(),
  /** Of this run at the restore: what it hands on lies in a folder of its own. */
  attempt: z.string(),
  target_cluster_id: z.string(),
  /** Of `restoreScope`; held by all processes of the run together. */
  lease: leaseHolder,
  /** True where the lease is another's, who goes on holding it afterwards. */
  lease_is_lent: z.boolean(),
  manifest: z.object({ generation: z.int().min(1), sha256: z.string() }),
  window: timeWindow,
  include_offset_headers: z.boolean().optional(),
  checkpoint_interval_ms: z.int().min(1),
  /** In one worker. */
  max_concurrent_partitions: z.int().min(1),
  /** Of one worker; no limit where it is absent. */
  max_bytes_per_second: z.int().min(1).optional(),
  topics: z.int(),
  partitions: z.int(),
  /** True where an unfinished restore goes on. */
  resumed: z.boolean(),
  /** Of this run, Unix milliseconds. */
  begun_at: int64,
});
export type RestoreRun = z.infer<typeof restoreRun>;

/** As a state machine hands it on: with how long its workers' turns are. */
export const restoreRunOfMachine = restoreRun.extend({
  turn_ms: z.int().min(1).default(Number.MAX_SAFE_INTEGER),
});

export const restoreItem = z.object({
  /** From 0; names what the item leaves in the bucket. */
  number: z.int().min(0),
  partitions: z.array(restoreWork).min(1),
});
export type RestoreItem = z.infer<typeof restoreItem>;

export const restoreItemRequest = z.object({ run: restoreRun, item: restoreItem });
export type RestoreItemRequest = z.infer<typeof restoreItemRequest>;

/** `continue`: the deadline came first; the same request again goes on from the checkpoints. */
export interface RestoreItemOutcome {
  readonly status: "done" | "continue";
  /** Of this turn. */
  readonly records: number;
  readonly bytes: number;
  /** Partitions of the item that are not restored, nor failed. */
  readonly partitions_left: number;
}

/** How far the verification of one of the item's partitions has come, by its place in the item. */
export const itemCursor = verifyCursor.extend({ place: z.int().min(0) });
export type ItemCursor = z.infer<typeof itemCursor>;

export const verifyItemRequest = restoreItemRequest.extend({
  /** Of the `continue` before; empty at the beginning. */
  cursors: z.array(itemCursor),
});
export type VerifyItemRequest = z.infer<typeof verifyItemRequest>;

/** At most as many cursors as partitions are verified at the same time. */
export interface VerifyItemOutcome extends RestoreItemOutcome {
  readonly cursors: readonly ItemCursor[];
}

/** Where a step that goes through the topics in the order of the intent begins its next turn. */
export interface TopicsTurn {
  readonly status: "done" | "continue";
  readonly next_topic: number;
}

export interface PreparedTopics extends TopicsTurn {
  /** Key of a JSON array of work items, relative to the storage's root; empty until it is written. */
  readonly items: { readonly key: string; readonly count: number };
  /** Unix milliseconds; 0 until all is ready. */
  readonly prepared_at: bigint;
}

/** What went wrong in a run. */
export const restoreJudgement = z.object({ failed: excerptOf(failedPartitionDocument) });
export type RestoreJudgement = z.infer<typeof restoreJudgement>;

export interface FinishedTopics extends TopicsTurn {
  /** Empty until the last turn. */
  readonly judgement: RestoreJudgement;
}

/** As a restore in one process tells it, but for lists, which are excerpts. */
export interface DistributedRestoreResult {
  /**
   * `incomplete`: some partitions failed; their topics keep the settings of a restore, and the
   * same request continues it.
   */
  readonly status: "done" | "already_done" | "incomplete";
  readonly backup_id: string;
  readonly restore_id: string;
  /** Of the manifest that was restored from. */
  readonly generation: number;
  readonly target_cluster_id: string;
  readonly topics: number;
  /** That are restored and verified. */
  readonly partitions: number;
  readonly record_count: bigint;
  readonly sent: SentBatches;
  readonly failed: RestoreJudgement["failed"];
  readonly findings: Excerpt<Finding>;
  /** Retention that stays off until the operator runs the command. */
  readonly kept_settings: Excerpt<KeptSetting>;
  readonly resumed: boolean;
  /** Unix milliseconds. */
  readonly started_at: bigint;
  readonly finished_at: bigint;
}

export function leaseScopeOf(run: Pick<RestoreRun, "backup_id" | "target_cluster_id">): LeaseScope {
  return restoreScope(run.backup_id, run.target_cluster_id);
}
