/** What is told of a restore without reading its documents. */
import { z } from "zod";
import { int64 } from "#core/json.ts";

const count = z.int().min(0);

export const restoreSummary = z.object({
  restore_id: z.string(),
  /** `begun`: neither finished nor given up. */
  status: z.enum(["begun", "finished", "abandoned"]),
  /** SHA-256 of what was asked for: the same command again continues or finds this restore. */
  request_sha256: z.string(),
  /** Of the manifest that is restored. */
  generation: z.int().min(1),
  target_cluster_id: z.string(),
  /** Inclusive, Unix milliseconds; absent: open. */
  window_start: int64.optional(),
  window_end: int64.optional(),
  topic_count: count,
  partition_count: count,
  /** Unix milliseconds. */
  begun_at: int64,
  /** When it was finished or given up. */
  ended_at: int64.optional(),
  /** Records in the target, each read back; of a finished restore. */
  record_count: int64.optional(),
});
export type RestoreSummary = z.infer<typeof restoreSummary>;
