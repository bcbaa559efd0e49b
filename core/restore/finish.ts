/** The end of a restore: what is verified gets its settings back, and goes into the report. */

import pLimit from "p-limit";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { PartitionResult, RestoreIntent, TopicPlan } from "#core/restore/documents.ts";
import type { FinishedTopic, RestoreReport } from "#core/restore/report.ts";
import type { RestoreRecord } from "#core/restore/restore-record.ts";
import { summaryOfFinished } from "#core/restore/restore-summary.ts";
import { finishTopic, topicByTopic } from "#core/restore/topics.ts";
import type { Deadline } from "#core/runtime.ts";

/** Documents that are read at the same time. */
const concurrentReads = 16;

export interface Finishing {
  readonly deps: RestoreDeps;
  readonly record: RestoreRecord;
  /** Of the topic's partitions that are verified. */
  readonly resultsOf: (plan: TopicPlan) => Promise<readonly PartitionResult[]>;
  /** Of the target, for the commands that a report shows. */
  readonly bootstrapServers: readonly string[];
}

/**
 * Puts back the settings of the topics of which every partition is verified, until the deadline.
 * Undefined for a topic that no attempt has touched.
 */
export function finishWholeTopics(
  { deps, record, resultsOf, bootstrapServers }: Finishing,
  plans: readonly TopicPlan[],
  deadline: Deadline,
): Promise<(FinishedTopic | undefined)[]> {
  return topicByTopic(plans, deadline, async (plan) => {
    const results = (await resultsOf(plan)).toSorted(byTargetPartition);
    const target = await record.target(plan.target_topic);
    if (target === undefined) return undefined;
    const isWhole = results.length === plan.partitions.length;
    const restored = isWhole
      ? await finishTopic(deps, record, plan, results, bootstrapServers)
      : undefined;
    return { target, restored, results };
  });
}

/** What the restore's documents say of the topics, by target topic. */
export async function finishedTopics(
  record: RestoreRecord,
  plans: readonly TopicPlan[],
): Promise<Map<string, FinishedTopic>> {
  const finished = await pLimit(concurrentReads).map(plans, async (plan) => {
    const target = await record.target(plan.target_topic);
    if (target === undefined) return [];
    const restored = await record.restoredTopic(plan.target_topic);
    const results = (await verifiedPartitions(record, plan)).toSorted(byTargetPartition);
    return [[plan.target_topic, { target, restored, results }] as const];
  });
  return new Map(finished.flat());
}

/** As the restore's documents say. */
export async function verifiedPartitions(
  record: RestoreRecord,
  { target_topic: topic, partitions }: TopicPlan,
): Promise<PartitionResult[]> {
  const results = await pLimit(concurrentReads).map(partitions, async ({ target_partition }) => {
    const at = { topic, partition: target_partition };
    return (await record.verified(at)) === undefined ? undefined : record.result(at);
  });
  return results.filter((result) => result !== undefined);
}

function byTargetPartition(a: PartitionResult, b: PartitionResult): number {
  return a.target_partition - b.target_partition;
}

/** Finishes the restore. Returns the report that is stored then, which another attempt may have made. */
export async function storeReport(
  catalog: Pick<Catalog, "noteRestore">,
  record: RestoreRecord,
  intent: RestoreIntent,
  report: RestoreReport,
): Promise<RestoreReport> {
  const stored = await record.writeReport(report);
  await catalog.noteRestore(intent.backup_id, summaryOfFinished(intent, stored));
  return stored;
}
