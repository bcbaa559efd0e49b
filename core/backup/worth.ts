/** Whether what a run did is worth a manifest. */
import type { BackupDeps, BackupPlan } from "#core/backup/contract.ts";
import { archivedLineages } from "#core/backup/ranges.ts";
import { isRetryable } from "#core/errors.ts";
import { type PartitionFailure, throwIfNothingWorked } from "#core/partition-failure.ts";

/**
 * Throws the reason where every partition failed for the same one and nothing was archived by
 * those that will fail again. `unplanned` of the `failed` partitions are not in the plan.
 */
export async function throwIfWorthless(
  deps: Pick<BackupDeps, "catalog">,
  plan: BackupPlan,
  unplanned: number,
  failed: readonly PartitionFailure[],
): Promise<void> {
  const partitions = plan.partitions.length + unplanned;
  if (failed.length < partitions || (await hasArchived(deps, plan, failed))) return;
  throwIfNothingWorked(failed, partitions);
}

/**
 * What stands before a bad place is worth a manifest, also where every partition has one. Where
 * repeating may help, the run stays open instead, to be continued.
 */
async function hasArchived(
  { catalog }: Pick<BackupDeps, "catalog">,
  plan: BackupPlan,
  failed: readonly PartitionFailure[],
): Promise<boolean> {
  const lineagesOf = archivedLineages(catalog, plan);
  for (const { cause, ...at } of failed) {
    if (isRetryable(cause)) continue;
    const lineages = await lineagesOf(at);
    if (lineages.some(({ segments }) => segments.length > 0)) return true;
  }
  return false;
}
