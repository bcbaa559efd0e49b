/** A restore that also sets consumer groups' offsets, as `restore` and `three-phase-restore` run it. */
import { locationText } from "#cli/location-text.ts";
import { type CommandConfigs, openRestoreDeps, restoreOptionsOf } from "#cli/restore-options.ts";
import { connectTo } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { threePhaseDryRunText, threePhaseText } from "#cli/three-phase-text.ts";
import type { RestoreConfig } from "#core/config/schema.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import type { GroupSelection } from "#core/offsets/contract.ts";
import type { ThreePhaseDeps, ThreePhaseResult } from "#core/three-phase/contract.ts";
import type { ThreePhaseDryRun } from "#core/three-phase/dry-run.ts";

export interface ThreePhaseChoices {
  readonly isNew: boolean;
  readonly resume: boolean;
  /** The configuration file, as it was named. */
  readonly file: string;
  readonly commandConfigs: CommandConfigs;
  /** What continues after a failure, as a sentence that begins with it. */
  readonly again: string;
  /** How the results are shown to machines; as they are unless said. */
  readonly shape?: {
    readonly result: (result: ThreePhaseResult) => object;
    readonly dryRun: (plan: ThreePhaseDryRun) => unknown;
  };
}

export async function runThreePhases(
  session: Session,
  config: RestoreConfig,
  groups: GroupSelection,
  { isNew, resume, file, commandConfigs, again, shape }: ThreePhaseChoices,
): Promise<number> {
  const { threePhaseRequestOf } = await import("#core/three-phase/request.ts");
  const request = threePhaseRequestOf(config, groups);
  const deps = await openThreePhaseDeps(session, config, commandConfigs);
  if (config.restore.dry_run) {
    const { dryRunThreePhase } = await import("#core/three-phase/dry-run.ts");
    const plan = await dryRunThreePhase(deps, request, isNew, session.deadline);
    const shown = shape === undefined ? plan : shape.dryRun(plan);
    await session.write(shown, () => threePhaseDryRunText(session.io, plan));
    return plan.would === "refuse" ? exitCodes.preflightRefused : exitCodes.done;
  }
  const { runThreePhase } = await import("#core/three-phase/run.ts");
  session.stopWhenNothingAnswers();
  const { onProgress, stop } = session.progress("restore");
  const options = { ...restoreOptionsOf(config, isNew), resume };
  const result = await runThreePhase({ ...deps, onProgress }, request, options, session.deadline);
  stop();
  const { error, ...data } = result;
  const shown = shape === undefined ? data : shape.result(data);
  const rollback = await rollbackCommand(config, file, commandConfigs);
  const whole = error === undefined ? shown : { ...shown, error: wordsOf(error) };
  await session.write(whole, () => threePhaseText(session.io, result, rollback));
  if (error !== undefined) throw withHint(error, again);
  return result.status === "incomplete" ? exitCodes.doneWithGaps : exitCodes.done;
}

/** Without the id at its end: puts groups of the target back to a snapshot. */
export async function rollbackCommand(
  config: RestoreConfig,
  file: string,
  { commandConfig }: CommandConfigs,
): Promise<string> {
  const { shellQuoted } = await import("#core/offsets/script.ts");
  const login = commandConfig === undefined ? [] : ["--command-config", commandConfig];
  const options = ["--path", locationText(config.storage), "--config", file, ...login];
  const where = options.map(shellQuoted);
  return `kafka-backup offset-rollback rollback ${where.join(" ")} --snapshot-id`;
}

function wordsOf({ name, message }: BackupError) {
  return { name, message };
}

/** The engine knows neither the command nor the file that it is run with. */
function withHint({ name, message, cause, details, hint }: BackupError, again: string) {
  return new BackupError(name, message, {
    cause,
    details,
    hint: hint.replace("the same command again", again),
  });
}

export async function openThreePhaseDeps(
  session: Session,
  config: RestoreConfig,
  commandConfigs: CommandConfigs,
): Promise<ThreePhaseDeps> {
  const deps = await openRestoreDeps(session, config, commandConfigs);
  if (config.source === undefined) return deps;
  const lanes = config.backup?.max_concurrent_partitions;
  const commandConfig = commandConfigs.sourceCommandConfig;
  const source = await connectTo(session, "source", config.source, { lanes, commandConfig });
  return { ...deps, source };
}
