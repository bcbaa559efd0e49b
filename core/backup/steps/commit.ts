/** The last step: commits the run and lets go of the lease. */
import { committedRun, type FinishedBackup, finishBackup } from "#core/backup/finish.ts";
import { gapsAdded } from "#core/backup/gaps-added.ts";
import {
  type BackupRun,
  type CatalogDeps,
  type DistributedBackupResult,
  type Judgement,
  leaseScopeOf,
} from "#core/backup/steps/contract.ts";
import { readPlan } from "#core/backup/steps/read-plan.ts";
import { releaseRun } from "#core/backup/steps/release.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import type { Deadline } from "#core/runtime.ts";
import { excerpt } from "#core/work-items/excerpt.ts";

/**
 * Idempotent: done again, also after its answer was lost and the run's state is gone, it gives the
 * same answer. Throws BackupConflictError when the lease is lost before the commit.
 */
export async function commitBackup(
  deps: CatalogDeps,
  run: BackupRun,
  judged: Judgement,
  deadline: Deadline,
): Promise<DistributedBackupResult> {
  const committed = (await committedRun(deps, run)) ?? (await commit(deps, run, deadline));
  const { stored, entry } = committed;
  const { manifest } = stored;
  await releaseRun(deps, run);
  const gaps = gapsAdded(await manifestBefore(deps, manifest), manifest);
  return {
    status: judged.failed.count + gaps.length > 0 ? "done_with_gaps" : "done",
    backup_id: run.backup_id,
    run_id: run.run_id,
    generation: manifest.generation,
    topics: run.topics,
    partitions: run.partitions,
    ...entry.totals,
    gaps: excerpt(gaps),
    ...judged,
    resumed: run.resumed,
    started_at: entry.started_at,
    finished_at: entry.finished_at,
  };
}

async function commit(
  deps: CatalogDeps,
  run: BackupRun,
  deadline: Deadline,
): Promise<Omit<FinishedBackup, "gaps">> {
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, async () => {
    const plan = await readPlan(deps.storage, run);
    await lease.renew();
    return finishBackup(deps, { plan, lease_token: lease.token });
  });
}

async function manifestBefore(
  { catalog }: CatalogDeps,
  { backup_id, generation }: Manifest,
): Promise<Manifest | undefined> {
  if (generation === 1) return undefined;
  return (await catalog.readManifest(backup_id, generation - 1)).manifest;
}
