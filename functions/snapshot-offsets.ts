/**
 * First step of the offset-rollback machine: checks its input and the snapshot, and takes another
 * snapshot of the same groups. Changes nothing in Kafka.
 */
import { z } from "zod";
import { groupPattern } from "#core/config/values.ts";
import { beginRollback } from "#core/offsets/rollback.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { dryRunRollback } from "#core/offsets/verify-snapshot.ts";
import { excerpt } from "#core/work-items/excerpt.ts";
import { step } from "#functions/runtime.ts";

export const offsetRollbackInput = z.strictObject({
  snapshot_id: z.string().min(1),
  /** Of the snapshot's; all of them unless given. */
  groups: z.array(groupPattern).min(1).exactOptional(),
  /** Takes the nearer end of the log for a position outside it. */
  force: z.boolean().default(false),
  dry_run: z.boolean().default(false),
});

export const handler = step(offsetRollbackInput, async (step, { force, dry_run, ...asked }) => {
  const { storage } = await step.catalogDeps();
  const { cluster_id } = await readSnapshot(storage, asked.snapshot_id);
  const deps = await step.depsOf(cluster_id);
  const request = { ...asked, clamp: force, verify: true };
  if (dry_run) {
    const { findings, ...verdict } = await dryRunRollback(deps, request);
    return { status: "dry_run", ...verdict, findings: excerpt(findings) };
  }
  return { status: "begun", ...(await beginRollback(deps, request)), request };
});
