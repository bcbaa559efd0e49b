/** What a restore would do. Reads only: neither Kafka nor the store is written to. */
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreIntent, TimeWindow, TopicPlan } from "#core/restore/documents.ts";
import { estimateTopic, type PartitionEstimate } from "#core/restore/estimate.ts";
import { errorsOf, type Finding } from "#core/restore/findings.ts";
import { meantRestore } from "#core/restore/identity.ts";
import { type PlannedTopic, planRestore, type RestorePlan } from "#core/restore/plan.ts";
import { preflight } from "#core/restore/preflight.ts";
import type { RestoreRequest } from "#core/restore/request.ts";

export interface DryRunTopic {
  readonly source_topic: string;
  readonly target_topic: string;
  /** How the target topic comes about; undefined where an error leaves that open. */
  readonly target: TopicPlan | undefined;
  readonly record_count: number;
  readonly batch_bytes: number;
  /** False where the numbers are the most that it can be. */
  readonly is_exact: boolean;
  readonly partitions: readonly PartitionEstimate[];
}

export interface DryRun {
  readonly backup_id: string;
  readonly generation: number;
  readonly target_cluster_id: string;
  readonly window: TimeWindow;
  /** `continue` and `already_done` name the restore that the command would mean. */
  readonly would: "begin" | "continue" | "already_done" | "refuse";
  readonly restore_id: string | undefined;
  readonly topics: readonly DryRunTopic[];
  readonly findings: readonly Finding[];
}

/** Throws what `meantRestore` throws; errors of preflight are in the findings. */
export async function dryRunRestore(
  deps: RestoreDeps,
  request: RestoreRequest,
  startNew: boolean,
): Promise<DryRun> {
  const meant = await meantRestore(deps, request, startNew);
  if (meant.status === "continued") return continued(deps, request, meant.intent);
  const { plan } = meant;
  if (meant.status === "already_done") {
    const { restore_id, findings } = meant.report;
    return describe(deps, plan, { would: "already_done", restore_id, findings, targets: [] });
  }
  const checked = await preflight(deps.cluster, plan, request, deps.clock.nowMs());
  return describe(deps, plan, {
    would: errorsOf(checked.findings).length > 0 ? "refuse" : "begin",
    restore_id: undefined,
    findings: checked.findings,
    targets: checked.topics,
  });
}

async function continued(
  deps: RestoreDeps,
  request: RestoreRequest,
  intent: RestoreIntent,
): Promise<DryRun> {
  const { generation } = intent.manifest;
  const plan = await planRestore(deps, { ...request, generation });
  return describe(deps, plan, {
    would: "continue",
    restore_id: intent.restore_id,
    findings: intent.findings,
    targets: intent.topics,
  });
}

async function describe(
  { catalog, cluster }: RestoreDeps,
  plan: RestorePlan,
  found: Pick<DryRun, "would" | "restore_id" | "findings"> & { targets: readonly TopicPlan[] },
): Promise<DryRun> {
  const { targets, ...rest } = found;
  const topics: DryRunTopic[] = [];
  for (const planned of plan.topics) {
    const { manifest } = plan.stored;
    const partitions = await estimateTopic(catalog, manifest, planned, plan.window);
    topics.push(topicOf(planned, targets, partitions));
  }
  return {
    backup_id: plan.stored.manifest.backup_id,
    generation: plan.stored.manifest.generation,
    target_cluster_id: cluster.clusterId,
    window: plan.window,
    ...rest,
    topics,
  };
}

function topicOf(
  { source, target_topic }: PlannedTopic,
  targets: readonly TopicPlan[],
  partitions: readonly PartitionEstimate[],
): DryRunTopic {
  return {
    source_topic: source.name,
    target_topic,
    target: targets.find((plan) => plan.target_topic === target_topic),
    record_count: partitions.reduce((sum, { record_count }) => sum + record_count, 0),
    batch_bytes: partitions.reduce((sum, { batch_bytes }) => sum + batch_bytes, 0),
    is_exact: partitions.every(({ is_exact }) => is_exact),
    partitions,
  };
}
