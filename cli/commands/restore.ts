/** `kafka-backup restore`: from a configuration file; again to continue what was stopped. */
import { Option } from "commander";
import { type Configure, withExamples } from "#cli/command.ts";
import {
  type CommandConfigs,
  changingOptions,
  openRestoreDeps,
  overridesOf,
  type RestoreArguments,
  restoreOptionsOf,
  withRestoreOptions,
} from "#cli/restore-options.ts";
import { abandonText, dryRunText, restoreText } from "#cli/restore-text.ts";
import { readRestoreConfig } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { runThreePhases } from "#cli/three-phase.ts";
import type { RestoreConfig } from "#core/config/schema.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { type RestoreRequest, restoreRequestOf } from "#core/restore/request.ts";

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup restore --config restore.yaml --dry-run", "see what it would do"],
    ["kafka-backup restore --config restore.yaml", "restore; again to continue what was stopped"],
    [
      "kafka-backup restore --config restore.yaml --time-window-end 2025-01-15T10:30:00Z",
      "as it was at that time, to the millisecond",
    ],
    [
      "kafka-backup restore --config restore.yaml --abandon 20250115T103000Z-1a2b3c4d",
      "give up an unfinished restore; its topics get their settings back",
    ],
  ]);
  withRestoreOptions(command).addOption(
    new Option("--abandon <id>", "give up an unfinished restore").conflicts(changingOptions),
  );
  context.action(command, runCommand);
};

async function runCommand(session: Session, options: RestoreArguments): Promise<number> {
  const config = await readRestoreConfig(session, options.config, overridesOf(options));
  if (options.abandon !== undefined) return abandon(session, config, options, options.abandon);
  const isNew = options.new === true;
  const { groupsOf } = await import("#core/three-phase/request.ts");
  const groups = groupsOf(config);
  if (config.restore.reset_consumer_offsets && groups !== undefined) {
    return runThreePhases(session, config, groups, {
      isNew,
      resume: false,
      file: options.config,
      commandConfigs: options,
      again: "the same command again",
      shape: {
        result: ({ status, restore, report, failed_reset }) => {
          if (failed_reset === undefined) return { ...restore, three_phase: report };
          return { ...restore, status, three_phase: failed_reset };
        },
        dryRun: ({ restore, would, ...offsets }) => ({ ...restore, would, three_phase: offsets }),
      },
    });
  }
  refuseBackupFirst(config);
  if (groups !== undefined) {
    session.logger.info("consumer groups are left alone: reset_consumer_offsets is not set");
  }
  const deps = await openRestoreDeps(session, config, options);
  const request = restoreRequestOf(config);
  if (config.restore.dry_run) return dryRun(session, deps, request, isNew);

  const { runRestore } = await import("#core/restore/run.ts");
  session.stopWhenNothingAnswers();
  const { onProgress, stop } = session.progress("restore");
  const restoreOptions = restoreOptionsOf(config, isNew);
  const withProgress = { ...deps, onProgress };
  const result = await runRestore(withProgress, request, restoreOptions, session.deadline);
  stop();
  await session.write(result, () => restoreText(session.io, result));
  return result.status === "incomplete" ? exitCodes.doneWithGaps : exitCodes.done;
}

/** It belongs to the first of three phases; left out in silence it would be missed. */
function refuseBackupFirst({ restore }: RestoreConfig): void {
  if (!restore.backup_first) return;
  throw new BackupError(
    "InvalidConfigError",
    "restore.backup_first: does nothing in a restore that leaves consumer groups alone",
    { hint: "Set restore.reset_consumer_offsets: true, or run three-phase-restore." },
  );
}

async function dryRun(
  session: Session,
  deps: RestoreDeps,
  request: RestoreRequest,
  isNew: boolean,
): Promise<number> {
  const { dryRunRestore } = await import("#core/restore/dry-run.ts");
  const plan = await dryRunRestore(deps, request, isNew);
  await session.write(plan, () => dryRunText(session.io, plan));
  return plan.would === "refuse" ? exitCodes.preflightRefused : exitCodes.done;
}

async function abandon(
  session: Session,
  config: RestoreConfig,
  commandConfigs: CommandConfigs,
  restore_id: string,
): Promise<number> {
  const { abandonRestore } = await import("#core/restore/abandon.ts");
  const deps = await openRestoreDeps(session, config, commandConfigs);
  const { backup_id } = config;
  const result = await abandonRestore(deps, { backup_id, restore_id }, session.deadline);
  await session.write(result, () => abandonText(result));
  return exitCodes.done;
}
