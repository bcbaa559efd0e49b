import { formatVersion } from "#core/catalog/manifest.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import { setsOffsets } from "#core/three-phase/contract.ts";
import type {
  SafetySnapshot,
  ThreePhaseIntent,
  ThreePhaseReport,
} from "#core/three-phase/documents.ts";
import type { FinishedReset } from "#core/three-phase/reset.ts";

interface Finished extends Pick<ThreePhaseReport, "finished_at" | "resumed" | "phases"> {
  readonly intent: ThreePhaseIntent;
  readonly snapshot: SafetySnapshot;
  readonly restore: RestoreReport;
  readonly reset: FinishedReset;
}

/** What a three-phase restore has done, from what its phases left. */
export function makeReport({
  intent,
  snapshot,
  restore,
  reset,
  ...run
}: Finished): ThreePhaseReport {
  return {
    format_version: formatVersion,
    backup_id: intent.backup_id,
    three_phase_id: intent.three_phase_id,
    request_sha256: intent.request_sha256,
    outcome: setsOffsets(intent.strategy) ? "reset" : "recommended",
    target_cluster_id: intent.target_cluster_id,
    safety_snapshot_id: snapshot.snapshot_id,
    ...(reset.snapshot_id !== undefined && { reset_snapshot_id: reset.snapshot_id }),
    restore_id: restore.restore_id,
    window: restore.window,
    strategy: intent.strategy,
    offset_source: intent.offset_source,
    started_at: intent.created_at,
    ...run,
    earlier_resets: reset.earlier_resets,
    ...(intent.backup_first !== undefined && { backup_first: intent.backup_first }),
    restored: {
      record_count: restore.record_count,
      partition_count: restore.partition_count,
      topics: restore.topics.map(({ source_topic, target_topic, record_count }) => ({
        source_topic,
        target_topic,
        record_count,
      })),
    },
    groups: reset.groups,
    left_alone: reset.plan.left_alone,
  };
}
