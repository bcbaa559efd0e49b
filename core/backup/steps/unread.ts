import pLimit from "p-limit";
import type { PartitionWork } from "#core/backup/contract.ts";
import { placeOf } from "#core/backup/ranges.ts";
import type { WorkItemRequest } from "#core/backup/steps/contract.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { FailedPlace } from "#core/partition-failure.ts";

/** Partitions and ranges whose checkpoints are looked at at the same time. */
const concurrentLooks = 16;

/**
 * The partitions and ranges of a work item that did not fail, and that the run's checkpoints do
 * not show as read up to the end that was planned.
 */
export async function unreadWorks(
  catalog: Catalog,
  { run, item }: WorkItemRequest,
  failed: readonly FailedPlace[],
): Promise<PartitionWork[]> {
  const hasFailed = new Set(failed.map(nameOf));
  const candidates = item.partitions.filter((work) => !hasFailed.has(nameOf(placeOf(work))));
  const isRead = await pLimit(concurrentLooks).map(candidates, async (work) => {
    const { topic, partition, range, lineage, end_offset } = work;
    const at = { backupId: run.backup_id, runId: run.state_id, topic, partition, range };
    const last = (await catalog.checkpoints(at)).at(-1);
    return last?.lineage === lineage && last.next_offset >= end_offset;
  });
  return candidates.filter((_, i) => !isRead[i]);
}

function nameOf({ topic, partition, from_offset = -1n }: FailedPlace): string {
  return `${topic}/${partition}/${from_offset}`;
}
