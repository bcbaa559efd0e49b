/** `backup_first`: a run into the same backup, before anything else. */
import { runBackup } from "#core/backup/run.ts";
import { BackupError } from "#core/errors.ts";
import type { FailedPartition } from "#core/partition-failure.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps, ThreePhaseRequest } from "#core/three-phase/contract.ts";
import type { FirstBackup } from "#core/three-phase/documents.ts";

/** Idempotent but for an empty run: one that was interrupted is continued. */
export async function backUpFirst(
  deps: ThreePhaseDeps,
  { backup_first }: ThreePhaseRequest,
  deadline: Deadline,
): Promise<FirstBackup | undefined> {
  if (backup_first === undefined) return undefined;
  if (deps.source === undefined) {
    throw new BackupError("InvalidRequestError", "backup_first needs the cluster to back up");
  }
  deps.logger.info("three-phase restore: backup first", { backup_id: backup_first.backup_id });
  const result = await runBackup({ ...deps, cluster: deps.source }, backup_first, deadline);
  const { run_id, generation, record_count, failed } = result;
  refuseFailed({ count: failed.length, first: failed });
  return { run_id, generation, record_count };
}

/** Throws PreflightRefusedError where a partition could not be backed up. */
export function refuseFailed({
  count,
  first: [failed],
}: {
  readonly count: number;
  readonly first: readonly Pick<FailedPartition, "topic" | "partition" | "error" | "message">[];
}): void {
  if (failed === undefined) return;
  throw new BackupError(
    "PreflightRefusedError",
    `nothing was restored: of the backup before it ${count} partitions failed, ` +
      `${failed.topic}-${failed.partition} with ${failed.error}: ${failed.message}`,
    { hint: "Repeat the command when they can be read, or restore without backup_first." },
  );
}
