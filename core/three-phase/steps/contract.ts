/**
 * A three-phase restore whose steps are done by many processes: what they hand to one another. The
 * order of the steps is in statemachines/three-phase-restore.asl.json; `core/three-phase/run.ts`
 * does the same in one process. All of it is plain JSON and small: groups, positions and plans
 * are in the documents of the three-phase restore.
 */
import { z } from "zod";
import type { LeaseScope } from "#core/catalog/catalog.ts";
import type { OffsetPlan } from "#core/offsets/contract.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { type ThreePhaseReport, threePhaseReport } from "#core/three-phase/documents.ts";
import type { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";
import { type Excerpt, excerpt } from "#core/work-items/excerpt.ts";

/** One that is prepared: its first step answers it, the others are handed it. */
export const threePhaseRun = z.object({
  backup_id: z.string(),
  three_phase_id: z.string(),
  target_cluster_id: z.string(),
  /** Of `leaseScopeOf`. While an approval is waited for nobody holds it. */
  lease: z.object({ owner: z.string(), token: z.int() }),
  /** True where an unfinished one goes on. */
  resumed: z.boolean(),
  prepare_ms: z.int(),
});
export type ThreePhaseRun = z.infer<typeof threePhaseRun>;

/** A run with an attempt to set offsets that is planned: `resets/{attempt}/plan.json`. */
export const plannedRun = threePhaseRun.extend({
  attempt: z.int().min(1),
  plan_ms: z.int(),
});
export type PlannedRun = z.infer<typeof plannedRun>;

/** What is said of groups without naming the positions of each. */
const groupCount = z.object({ group: z.string(), partitions: z.int() });

const summarized = threePhaseReport.pick({
  backup_id: true,
  three_phase_id: true,
  outcome: true,
  target_cluster_id: true,
  safety_snapshot_id: true,
  reset_snapshot_id: true,
  restore_id: true,
  strategy: true,
  offset_source: true,
  backup_first: true,
  earlier_resets: true,
  resumed: true,
  started_at: true,
  finished_at: true,
});

/** As the report of a three-phase restore in one process, but for lists, which are excerpts. */
export interface DistributedThreePhaseResult extends z.infer<typeof summarized> {
  readonly status: "done" | "already_done";
  readonly topics: number;
  readonly partitions: number;
  readonly record_count: bigint;
  readonly groups: Excerpt<z.infer<typeof groupCount>>;
  readonly left_alone: Excerpt<ThreePhaseReport["left_alone"][number]>;
  /** The whole report, relative to the storage's root. */
  readonly report: string;
}

export function resultOf(
  status: DistributedThreePhaseResult["status"],
  report: ThreePhaseReport,
  record: ThreePhaseRecord,
): DistributedThreePhaseResult {
  const { restored, groups, left_alone } = report;
  return {
    status,
    ...summarized.parse(report),
    topics: restored.topics.length,
    partitions: restored.partition_count,
    record_count: restored.record_count,
    groups: excerpt(countsOf(groups)),
    left_alone: excerpt(left_alone),
    report: record.keyOfReport(),
  };
}

export function countsOf(groups: OffsetPlan["groups"] | ThreePhaseReport["groups"]) {
  return groups.map(({ group, partitions }) => ({ group, partitions: partitions.length }));
}

/** Where `reset` was not carried out, and what it would have been. */
export interface NotApproved {
  readonly status: "rejected" | "approval_expired";
  readonly backup_id: string;
  readonly three_phase_id: string;
  readonly restore_id: string;
  readonly safety_snapshot_id: string;
  readonly attempt: number;
  readonly reason: string;
  /** What stands and how to go on, for people. */
  readonly message: string;
}

export function leaseScopeOf(
  run: Pick<ThreePhaseRun, "backup_id" | "target_cluster_id">,
): LeaseScope {
  return restoreScope(run.backup_id, run.target_cluster_id);
}
