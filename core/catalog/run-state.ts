/** What a backup run keeps while it is under way, under `state/` of its backup. */
import { z } from "zod";
import { droppedBatches, gap, segmentEntry } from "#core/catalog/manifest.ts";
import { int64 } from "#core/json.ts";

/** `state/runs/{run_id}/run.json`: there is a run that has not been committed. */
export const openRun = z.object({
  run_id: z.string(),
  /** Generation of the manifest that the run continues; 0 when it is the first. */
  base_generation: z.int().min(0),
  started_at: int64,
});
export type OpenRun = z.infer<typeof openRun>;

/**
 * `state/runs/{run_id}/checkpoints/{topic}/{partition}/{sequence, 8 digits}.json`: write-once. All
 * before `next_offset` that the partition's earlier parts do not cover is in `segments`, in
 * `gaps` or counted in `dropped`, and the segments are durable.
 */
export const checkpoint = z.object({
  sequence: z.int().min(0),
  written_at: int64,
  lineage: z.int().min(1),
  topic_id: z.string(),
  /** Where reading of this lineage began in this run. */
  start_offset: int64,
  next_offset: int64,
  /** Of the last batch read, kept or dropped; -1 before the first of the lineage. */
  last_leader_epoch: z.int(),
  segments: z.array(segmentEntry),
  gaps: z.array(gap),
  dropped: droppedBatches,
});
export type Checkpoint = z.infer<typeof checkpoint>;
