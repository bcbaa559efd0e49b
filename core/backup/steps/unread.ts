import pLimit from "p-limit";
import type { PartitionWork } from "#core/backup/contract.ts";
import type { WorkItemRequest } from "#core/backup/steps/contract.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";

/** Partitions whose checkpoints are looked at at the same time. */
const concurrentLooks = 16;

/**
 * The partitions of a work item that did not fail, and that the run's checkpoints do not show as
 * read up to the end that was planned.
 */
export async function unreadPartitions(
  catalog: Catalog,
  { run, item }: WorkItemRequest,
  failed: readonly TopicPartition[],
): Promise<PartitionWork[]> {
  const hasFailed = new Set(failed.map(nameOf));
  const candidates = item.partitions.filter((work) => !hasFailed.has(nameOf(work)));
  const isRead = await pLimit(concurrentLooks).map(candidates, async (work) => {
    const { topic, partition, lineage, end_offset } = work;
    const at = { backupId: run.backup_id, runId: run.state_id, topic, partition };
    const last = (await catalog.checkpoints(at)).at(-1);
    return last?.lineage === lineage && last.next_offset >= end_offset;
  });
  return candidates.filter((_, i) => !isRead[i]);
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
