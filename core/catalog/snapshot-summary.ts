/** What is told of a snapshot of offsets without reading it. */
import { z } from "zod";

const count = z.int().min(0);

export const snapshotSummary = z.object({
  snapshot_id: z.string(),
  description: z.string(),
  /** ISO 8601, UTC, when the offsets had been read. */
  created_at: z.iso.datetime(),
  cluster_id: z.string(),
  all_groups: z.boolean(),
  /** Taken by a command before it changed the groups, to undo that. */
  safety: z.boolean(),
  group_count: count,
  position_count: count,
  unread_group_count: count,
  /** Of the document. Write-once, so one of another size is not the one that was told of. */
  bytes: count,
});
export type SnapshotSummary = z.infer<typeof snapshotSummary>;
