/** The first step: takes the lease, plans the run, and writes its work items. */
import type { BackupDeps, BackupRequest } from "#core/backup/contract.ts";
import { type PlannedBackup, planBackup } from "#core/backup/plan.ts";
import { worksOf } from "#core/backup/ranges.ts";
import { rangeOffsetsDefault } from "#core/backup/split-ranges.ts";
import {
  type BegunBackup,
  leaseScopeOf,
  type PlannedDocument,
} from "#core/backup/steps/contract.ts";
import { tellMatches } from "#core/backup/tell-topics.ts";
import { packWorkItems } from "#core/backup/work-items.ts";
import { shareOfWorker } from "#core/byte-rate.ts";
import type { LeaseHolder } from "#core/catalog/catalog.ts";
import { documentBytes } from "#core/catalog/documents.ts";
import { keepingLease, leaseWaitMs } from "#core/catalog/with-lease.ts";
import { toJson } from "#core/json.ts";
import { failedPartition } from "#core/partition-failure.ts";
import type { Deadline } from "#core/runtime.ts";
import { checkBackupId } from "#core/storage/keys.ts";
import { plannedKey, workItemsKey } from "#core/storage/work-keys.ts";

/**
 * Begins a run, or continues an interrupted one, for up to `workers` processes, which get ranges
 * of large partitions, of at least `rangeOffsetsMin` offsets each. The lease is held
 * when this returns, and released when it throws: what `planBackup` and `acquireLease` throw.
 */
export async function beginBackup(
  deps: BackupDeps,
  request: BackupRequest,
  workers: number,
  deadline: Deadline,
  rangeOffsetsMin = rangeOffsetsDefault,
): Promise<BegunBackup> {
  checkBackupId(request.backup_id);
  const scope = leaseScopeOf(request);
  const lease = await deps.catalog.acquireLease(scope, leaseWaitMs, deadline.signal);
  try {
    return await keepingLease(lease, deps.clock, deadline, async ({ signal }) => {
      const planned = await planBackup(deps, request, { workers, rangeOffsetsMin });
      tellMatches(deps.logger, planned.plan, request.topics);
      const begun = await writeWork(deps, request, workers, planned, lease.holder);
      signal.throwIfAborted();
      return { ...begun, lease: lease.holder };
    });
  } catch (error) {
    await lease.release().catch(() => {});
    throw error;
  }
}

async function writeWork(
  { storage }: BackupDeps,
  request: BackupRequest,
  workers: number,
  { plan, failed, resumed, transactions }: PlannedBackup,
  lease: LeaseHolder,
): Promise<BegunBackup> {
  const { backup_id, run_id, state_id, segments } = plan;
  const items = packWorkItems(worksOf(plan), workers);
  const document: PlannedDocument = {
    failed: failed.map(failedPartition),
    hanging_transactions: [...transactions.hanging],
    unread_transactions: transactions.unread.map(failedPartition),
  };
  const key = workItemsKey(plan);
  const { max_bytes_per_second: limit } = request;
  await storage.put(plannedKey(plan), documentBytes(document));
  await storage.put(key, Buffer.from(toJson(items)));
  return {
    backup_id,
    run_id,
    state_id,
    lease,
    segments,
    max_concurrent_partitions: request.max_concurrent_partitions,
    ...(limit !== undefined && {
      max_bytes_per_second: shareOfWorker(limit, Math.min(workers, items.length)),
    }),
    topics: plan.cluster.topics.length,
    partitions: plan.partitions.length,
    resumed,
    items: { key, count: items.length },
  };
}
