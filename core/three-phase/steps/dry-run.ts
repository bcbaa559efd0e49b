import { type DryRunInShort, shortOf } from "#core/restore/steps/dry-run.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps, ThreePhaseRequest } from "#core/three-phase/contract.ts";
import {
  dryRunThreePhase,
  type GroupFinding,
  type ThreePhaseDryRun,
} from "#core/three-phase/dry-run.ts";
import { type Excerpt, excerpt } from "#core/work-items/excerpt.ts";

/** A dry run's plan in a few KB. */
export interface ThreePhaseDryRunInShort
  extends Pick<ThreePhaseDryRun, "would" | "strategy" | "offset_source"> {
  readonly status: "dry_run";
  /** Null where none is begun. */
  readonly three_phase_id: string | null;
  readonly restore: DryRunInShort;
  readonly groups: Excerpt<{ readonly group: string; readonly partitions: number }>;
  readonly left_alone: Excerpt<ThreePhaseDryRun["left_alone"][number]>;
  readonly findings: Excerpt<GroupFinding>;
}

/** Writes nothing. Throws what `dryRunThreePhase` throws. */
export async function threePhaseDryRunInShort(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  startNew: boolean,
  deadline: Deadline,
): Promise<ThreePhaseDryRunInShort> {
  const plan = await dryRunThreePhase(deps, request, startNew, deadline);
  const { would, strategy, offset_source } = plan;
  const groups = plan.groups.map(({ group, partitions }) => ({
    group,
    partitions: partitions.length,
  }));
  return {
    status: "dry_run",
    ...{ would, strategy, offset_source },
    three_phase_id: plan.three_phase_id ?? null,
    restore: shortOf(plan.restore),
    groups: excerpt(groups),
    left_alone: excerpt(plan.left_alone),
    findings: excerpt(plan.findings),
  };
}
