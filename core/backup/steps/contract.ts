/**
 * A backup whose steps are done by many processes, each for a part of it: what they hand to one
 * another. The order of the steps is in statemachines/backup.asl.json; `core/backup/run.ts` does
 * the same in one process. All of it is plain JSON and small, whatever the number of partitions:
 * what grows with that is in the bucket (`core/storage/work-keys.ts`).
 */
import { z } from "zod";
import {
  type BackupDeps,
  type GapOfPartition,
  type HangingTransaction,
  segmentSettings,
} from "#core/backup/contract.ts";
import { workItem } from "#core/backup/work-items.ts";
import type { LeaseScope } from "#core/catalog/catalog.ts";
import type { Totals } from "#core/catalog/manifest.ts";
import { int64 } from "#core/json.ts";
import { type Excerpt, excerptOf } from "#core/work-items/excerpt.ts";
import { failedPartitionDocument, failedPartitions } from "#core/work-items/failures.ts";

/** What the steps need that do not read from Kafka. */
export type CatalogDeps = Pick<BackupDeps, "storage" | "catalog" | "clock" | "logger">;

/** A run that was begun: its first step answers it, and the others are handed it. */
export const backupRun = z.object({
  backup_id: z.string(),
  run_id: z.string(),
  state_id: z.string(),
  /** Held by all processes of the run together. */
  lease: z.object({ owner: z.string(), token: z.int() }),
  segments: segmentSettings,
  /** In one worker. */
  max_concurrent_partitions: z.int().min(1),
  /** Of one worker; no limit where it is absent. */
  max_bytes_per_second: z.int().min(1).optional(),
  topics: z.int(),
  partitions: z.int(),
  /** True where an interrupted run goes on. */
  resumed: z.boolean(),
});
export type BackupRun = z.infer<typeof backupRun>;

export interface BegunBackup extends BackupRun {
  /** Key of a JSON array of work items, relative to the storage's root, and how many it holds. */
  readonly items: { readonly key: string; readonly count: number };
}

export const workItemRequest = z.object({
  run: backupRun,
  item: workItem,
});
export type WorkItemRequest = z.infer<typeof workItemRequest>;

/** `continue`: the deadline came first; the same request again goes on from the checkpoints. */
export interface WorkItemOutcome {
  readonly status: "done" | "continue";
  /** Of this turn. */
  readonly records: number;
  readonly bytes: number;
  /** Partitions of the item that are not read to their end, nor failed. */
  readonly partitions_left: number;
}

const hangingTransaction = z.object({
  topic: z.string(),
  partition: z.int(),
  producer_id: int64,
  start_offset: int64,
  age_ms: z.number(),
});

/** `planned.json` of a run's work folder. */
export const plannedDocument = z.object({
  /** Partitions that could not be planned. */
  failed: failedPartitions,
  hanging_transactions: z.array(hangingTransaction),
  unread_transactions: failedPartitions,
});
export type PlannedDocument = z.infer<typeof plannedDocument>;

/** What went wrong in a run that is worth a manifest all the same. */
export const judgement = z.object({
  failed: excerptOf(failedPartitionDocument),
  hanging_transactions: excerptOf(hangingTransaction),
  unread_transactions: excerptOf(failedPartitionDocument),
});
export type Judgement = z.infer<typeof judgement>;

/** As `BackupResult` of a run in one process, but for lists, which are excerpts. */
export interface DistributedBackupResult extends Totals {
  readonly status: "done" | "done_with_gaps";
  readonly backup_id: string;
  readonly run_id: string;
  readonly generation: number;
  readonly topics: number;
  readonly partitions: number;
  readonly gaps: Excerpt<GapOfPartition>;
  readonly failed: Judgement["failed"];
  readonly hanging_transactions: Excerpt<HangingTransaction>;
  readonly unread_transactions: Judgement["unread_transactions"];
  readonly resumed: boolean;
  /** Unix milliseconds. */
  readonly started_at: bigint;
  readonly finished_at: bigint;
}

export function leaseScopeOf({ backup_id }: { readonly backup_id: string }): LeaseScope {
  return { backupId: backup_id, purpose: "backup" };
}
