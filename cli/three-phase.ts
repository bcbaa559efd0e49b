/** A restore that also sets consumer groups' offsets, as `restore` and `three-phase-restore` run it. */
import { openRestoreDeps, restoreOptionsOf, restoreRequestOf } from "#cli/restore-options.ts";
import { connectTo } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { threePhaseDryRunText, threePhaseText } from "#cli/three-phase-text.ts";
import type { RestoreConfig } from "#core/config/schema.ts";
import { exitCodes } from "#core/errors.ts";
import type { GroupSelection } from "#core/offsets/contract.ts";
import type {
  ThreePhaseDeps,
  ThreePhaseRequest,
  ThreePhaseResult,
} from "#core/three-phase/contract.ts";
import type { ThreePhaseDryRun } from "#core/three-phase/dry-run.ts";

export interface ThreePhaseChoices {
  readonly isNew: boolean;
  readonly resume: boolean;
  /** How the results are shown to machines; as they are unless said. */
  readonly shape?: {
    readonly result: (result: ThreePhaseResult) => unknown;
    readonly dryRun: (plan: ThreePhaseDryRun) => unknown;
  };
}

/** Undefined where the file selects no groups. */
export function groupsOf({ restore }: RestoreConfig): GroupSelection | undefined {
  const { consumer_groups, auto_consumer_groups } = restore;
  if (auto_consumer_groups) return { all: true };
  return consumer_groups === undefined ? undefined : { groups: consumer_groups };
}

export async function runThreePhases(
  session: Session,
  config: RestoreConfig,
  groups: GroupSelection,
  { isNew, resume, shape }: ThreePhaseChoices,
): Promise<number> {
  const request = await threePhaseRequestOf(config, groups);
  const deps = await openThreePhaseDeps(session, config);
  if (config.restore.dry_run) {
    const { dryRunThreePhase } = await import("#core/three-phase/dry-run.ts");
    const plan = await dryRunThreePhase(deps, request, isNew, session.deadline);
    const shown = shape === undefined ? plan : shape.dryRun(plan);
    await session.write(shown, () => threePhaseDryRunText(session.io, plan));
    return plan.would === "refuse" ? exitCodes.preflightRefused : exitCodes.done;
  }
  const { runThreePhase } = await import("#core/three-phase/run.ts");
  const { onProgress, stop } = session.progress("restore");
  const options = { ...restoreOptionsOf(config, isNew), resume };
  const result = await runThreePhase({ ...deps, onProgress }, request, options, session.deadline);
  stop();
  const shown = shape === undefined ? result : shape.result(result);
  await session.write(shown, () => threePhaseText(session.io, result));
  return result.status === "incomplete" ? exitCodes.doneWithGaps : exitCodes.done;
}

async function threePhaseRequestOf(
  config: RestoreConfig,
  groups: GroupSelection,
): Promise<ThreePhaseRequest> {
  const { backupFirstOf } = await import("#core/config/schema.ts");
  const { backupRequestOf } = await import("#core/backup/request.ts");
  const backup = backupFirstOf(config);
  const { consumer_group_strategy: strategy, offset_source } = config.restore;
  return {
    restore: restoreRequestOf(config),
    groups,
    strategy,
    ...(offset_source !== undefined && { offset_source }),
    ...(backup !== undefined && { backup_first: backupRequestOf(backup) }),
  };
}

export async function openThreePhaseDeps(
  session: Session,
  config: RestoreConfig,
): Promise<ThreePhaseDeps> {
  const deps = await openRestoreDeps(session, config);
  if (config.source === undefined) return deps;
  const lanes = config.backup?.max_concurrent_partitions;
  return { ...deps, source: await connectTo(session, "source", config.source, lanes) };
}
