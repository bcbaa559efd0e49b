import type { FailedPartition } from "#core/partition-failure.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import type { DistributedRestoreResult, RestoreJudgement } from "#core/restore/steps/contract.ts";
import { excerpt } from "#core/work-items/excerpt.ts";

/** A report in a few KB. */
export function resultOf(
  status: DistributedRestoreResult["status"],
  report: RestoreReport,
  failed: RestoreJudgement["failed"] = excerpt<FailedPartition>([]),
): DistributedRestoreResult {
  const { backup_id, restore_id, target_cluster_id, record_count, sent, resumed } = report;
  return {
    status,
    ...{ backup_id, restore_id },
    generation: report.manifest.generation,
    target_cluster_id,
    topics: report.topics.length,
    partitions: report.partition_count,
    ...{ record_count, sent, failed },
    findings: excerpt(report.findings),
    kept_settings: excerpt(report.kept_settings),
    resumed,
    started_at: report.started_at,
    finished_at: report.finished_at,
  };
}
