import type { Cluster } from "#core/kafka/cluster.ts";
import type { TopicPlan } from "#core/restore/documents.ts";
import type { Finding } from "#core/restore/findings.ts";
import type { PlannedTopic } from "#core/restore/plan.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import type { TargetCluster } from "#core/restore/target.ts";

/** What the checks of one topic are handed. */
export interface TopicCheck {
  readonly cluster: Cluster;
  readonly target: TargetCluster;
  readonly planned: PlannedTopic;
  readonly request: RestoreRequest;
  /** Of the backup. */
  readonly sourceClusterId: string;
  /** Bytes that each record is at most larger than in the source: its offset headers. */
  readonly recordGrowthBytes: number;
  /** Wall clock, Unix milliseconds: retention is about ages. */
  readonly nowMs: number;
}

export interface CheckedTopic {
  readonly findings: readonly Finding[];
  /** Absent where an error leaves nothing to plan. */
  readonly plan?: TopicPlan;
}

/** The part of a topic's plan that does not depend on the target. */
export function partitionPlans(planned: PlannedTopic): TopicPlan["partitions"] {
  return planned.partitions.map(({ source_partition, target_partition, lineage }) => ({
    source_partition,
    target_partition,
    lineage: lineage.lineage,
  }));
}
