/** The first step: takes the lease, and continues a restore or plans one and stores its intent. */
import { shareOfWorker } from "#core/byte-rate.ts";
import type { Lease, LeaseHolder } from "#core/catalog/catalog.ts";
import { keepingLease, leaseWaitMs } from "#core/catalog/with-lease.ts";
import { type Beginning, beginRestore } from "#core/restore/begin.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreRequest, RestoreSettings } from "#core/restore/request.ts";
import { restoreScope } from "#core/restore/scope.ts";
import type { DistributedRestoreResult, RestoreRun } from "#core/restore/steps/contract.ts";
import { resultOf } from "#core/restore/steps/result.ts";
import type { Deadline } from "#core/runtime.ts";

export interface DistributedRestoreOptions {
  /** Another restore, where the same request was restored before. */
  readonly start_new: boolean;
  readonly settings: Omit<RestoreSettings, "bootstrap_servers">;
  /** That the restore's partitions are spread over, at most. */
  readonly workers: number;
  /** Of the lease of `restoreScope`, where the caller holds it and goes on holding it afterwards. */
  readonly lent?: LeaseHolder;
}

export type BegunRestore =
  | { readonly status: "begun"; readonly run: RestoreRun }
  | { readonly status: "already_done"; readonly result: DistributedRestoreResult };

/**
 * The lease is held when this answers `begun`, and released else, unless it is lent. Throws what
 * `beginRestore` and `acquireLease` throw.
 */
export async function beginDistributedRestore(
  deps: RestoreDeps,
  request: RestoreRequest,
  options: DistributedRestoreOptions,
  deadline: Deadline,
): Promise<BegunRestore> {
  const begun_at = BigInt(deps.clock.nowMs());
  const lease = await takeLease(deps, request.backup_id, options.lent, deadline);
  const letGo = () => (options.lent === undefined ? lease.release() : Promise.resolve());
  try {
    return await keepingLease(lease, deps.clock, deadline, async ({ signal }) => {
      const begun = await beginRestore(deps, request, options.start_new);
      signal.throwIfAborted();
      if (begun.status === "already_done") {
        await letGo();
        return { status: "already_done", result: resultOf("already_done", begun.report) };
      }
      const run = runOf(begun, options, { attempt: deps.newId(), lease: lease.holder, begun_at });
      return { status: "begun", run };
    });
  } catch (error) {
    await letGo().catch(() => {});
    throw error;
  }
}

function takeLease(
  { catalog, cluster }: RestoreDeps,
  backupId: string,
  lent: LeaseHolder | undefined,
  { signal }: Deadline,
): Promise<Lease> {
  const scope = restoreScope(backupId, cluster.clusterId);
  if (lent !== undefined) return catalog.continueLease(scope, lent);
  return catalog.acquireLease(scope, leaseWaitMs, signal);
}

function runOf(
  { status, intent }: Exclude<Beginning, { status: "already_done" }>,
  { settings, lent, workers }: DistributedRestoreOptions,
  own: Pick<RestoreRun, "attempt" | "lease" | "begun_at">,
): RestoreRun {
  const { backup_id, restore_id, target_cluster_id, manifest, window, topics } = intent;
  const partitions = topics.reduce((sum, { partitions }) => sum + partitions.length, 0);
  const { max_bytes_per_second: limit } = settings;
  return {
    ...{ backup_id, restore_id, target_cluster_id, manifest, window },
    ...(intent.include_offset_headers && { include_offset_headers: true }),
    ...own,
    lease_is_lent: lent !== undefined,
    checkpoint_interval_ms: settings.checkpoint_interval_ms,
    max_concurrent_partitions: settings.max_concurrent_partitions,
    ...(limit !== undefined && {
      max_bytes_per_second: shareOfWorker(limit, Math.min(workers, partitions)),
    }),
    topics: topics.length,
    partitions,
    resumed: status === "continued",
  };
}
