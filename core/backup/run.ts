/**
 * A whole backup run in one process, for the command line: lease, plan, partitions, finish. The
 * state machine does the same steps in the same order.
 */
import pLimit from "p-limit";
import type {
  BackupDeps,
  BackupPlan,
  BackupRequest,
  BackupResult,
  PartitionWork,
} from "#core/backup/contract.ts";
import { type FinishedBackup, finishBackup } from "#core/backup/finish.ts";
import { backupPartition } from "#core/backup/partition.ts";
import { type PlannedBackup, planBackup } from "#core/backup/plan.ts";
import { oneForEach, placeOf, worksOf } from "#core/backup/ranges.ts";
import { tellMatches, warnOfCopies } from "#core/backup/tell-topics.ts";
import { throwIfWorthless } from "#core/backup/worth.ts";
import { byteRateOf } from "#core/byte-rate.ts";
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import { failedPartition, type PartitionFailure } from "#core/partition-failure.ts";
import type { Deadline } from "#core/runtime.ts";
import { checkBackupId } from "#core/storage/keys.ts";

/**
 * Backs up what the request names, continuing the backup id and an interrupted run of it. Throws
 * BackupConflictError while another run holds the lease, CancelledError when the deadline comes
 * first (what is checkpointed stays), and, where no partition could be read, that failure.
 */
export async function runBackup(
  deps: BackupDeps,
  request: BackupRequest,
  deadline: Deadline,
): Promise<BackupResult> {
  const startedAtMs = deps.clock.monotonicMs();
  const throttledBeforeMs = deps.cluster.throttledMs();
  checkBackupId(request.backup_id);
  const scope = { backupId: request.backup_id, purpose: "backup" };
  return withLease(deps, scope, deadline, async (lease, deadline) => {
    const planned = await planBackup(deps, request);
    tellMatches(deps.logger, planned.plan, request.topics);
    await warnOfCopies(deps, planned.plan, request.topics);
    const failed = [
      ...planned.failed,
      ...(await backupPartitions(deps, request, planned.plan, deadline)),
    ];
    if (deadline.passed()) throw interrupted(request.backup_id, planned.plan, deadline);
    await throwIfWorthless(deps, planned.plan, planned.failed.length, failed);
    await lease.renew();
    const committed = await finishBackup(deps, { plan: planned.plan, lease_token: lease.token });
    return resultOf(planned, failed, committed, {
      duration_ms: Math.round(deps.clock.monotonicMs() - startedAtMs),
      throttled_ms: Math.round(deps.cluster.throttledMs() - throttledBeforeMs),
    });
  });
}

async function backupPartitions(
  deps: BackupDeps,
  request: BackupRequest,
  plan: BackupPlan,
  deadline: Deadline,
): Promise<PartitionFailure[]> {
  const pending = worksOf(plan).filter((work) => work.start_offset < work.end_offset);
  deps.onProgress?.({
    kind: "planned",
    partitions: pending.length,
    records: Number(pending.reduce((sum, work) => sum + work.end_offset - work.start_offset, 0n)),
  });
  const limit = pLimit(request.max_concurrent_partitions);
  const failed: PartitionFailure[] = [];
  const paced = { ...deps, byteRate: byteRateOf(deps.clock, request.max_bytes_per_second) };
  const backup = async (work: PartitionWork) => {
    if (deadline.passed()) return;
    const { backup_id, run_id, state_id, segments } = plan;
    try {
      await backupPartition(paced, { backup_id, run_id, state_id, segments, work }, deadline);
      const { topic, partition } = work;
      deps.onProgress?.({ kind: "finished", topic, partition });
    } catch (cause) {
      failed.push({ ...placeOf(work), cause });
    }
  };
  await Promise.all(pending.map((work) => limit(backup, work)));
  return oneForEach(failed);
}

/** The lost lease, or the user's own wish to stop. */
function interrupted(backupId: string, plan: BackupPlan, { signal }: Deadline): Error {
  if (signal.reason instanceof BackupError) return signal.reason;
  return new BackupError(
    "CancelledError",
    `backup "${backupId}" was stopped in run ${plan.run_id}; what was checkpointed is kept`,
    { hint: "Run the same command again: it goes on from the checkpoints." },
  );
}

function resultOf(
  { plan, resumed, transactions }: PlannedBackup,
  failed: readonly PartitionFailure[],
  { stored, entry, gaps }: FinishedBackup,
  times: Pick<BackupResult, "duration_ms" | "throttled_ms">,
): BackupResult {
  return {
    status: failed.length + gaps.length > 0 ? "done_with_gaps" : "done",
    backup_id: plan.backup_id,
    run_id: plan.run_id,
    generation: stored.manifest.generation,
    topics: plan.cluster.topics.length,
    partitions: plan.partitions.length,
    ...entry.totals,
    gaps,
    failed: failed.map(failedPartition),
    hanging_transactions: transactions.hanging,
    unread_transactions: transactions.unread.map(failedPartition),
    resumed,
    ...times,
  };
}
