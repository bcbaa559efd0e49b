/** `kafka-backup three-phase-restore`: safety snapshot, restore, consumer groups' offsets. */
import { Option } from "commander";
import { type Configure, withExamples } from "#cli/command.ts";
import {
  changingOptions,
  openRestoreDeps,
  overridesOf,
  type RestoreArguments,
  withRestoreOptions,
} from "#cli/restore-options.ts";
import { readRestoreConfig } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { rollbackCommand, runThreePhases } from "#cli/three-phase.ts";
import { abandonedThreePhaseText } from "#cli/three-phase-text.ts";
import type { RestoreConfig } from "#core/config/schema.ts";
import { BackupError, exitCodes } from "#core/errors.ts";

interface ThreePhaseArguments extends RestoreArguments {
  readonly resume?: true;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [
      "kafka-backup three-phase-restore --config restore.yaml --dry-run",
      "all checks, also of the groups, and where each group would go",
    ],
    [
      "kafka-backup three-phase-restore --config restore.yaml --time-window-end 2025-01-15T10:30:00Z",
      "restore as it was at that time, and put the groups to where they stood",
    ],
    [
      "kafka-backup three-phase-restore --config restore.yaml --resume",
      "after a failure: continue at the phase that was reached, with the same options",
    ],
  ]);
  withRestoreOptions(command)
    .addOption(new Option("--resume", "continue an unfinished one; begin nothing").conflicts("new"))
    .addOption(
      new Option("--abandon <id>", "give up an unfinished one").conflicts([
        ...changingOptions,
        "resume",
      ]),
    );
  context.action(command, runCommand);
};

async function runCommand(session: Session, options: ThreePhaseArguments): Promise<number> {
  const config = await readRestoreConfig(session, options.config, overridesOf(options));
  const { abandon: given } = options;
  if (given !== undefined) return abandon(session, config, { ...options, abandon: given });
  const { groupsOf } = await import("#core/three-phase/request.ts");
  const groups = groupsOf(config);
  if (groups === undefined) throw withoutGroups(config);
  const isNew = options.new === true;
  const { shellQuoted } = await import("#core/offsets/script.ts");
  const file = options.config;
  return runThreePhases(session, config, groups, {
    isNew,
    resume: options.resume === true,
    file,
    commandConfigs: options,
    again: `\`kafka-backup three-phase-restore --config ${shellQuoted(file)} --resume\` with the same options`,
  });
}

function withoutGroups({ restore }: RestoreConfig): BackupError {
  const isSkipped = restore.consumer_group_strategy === "skip";
  return new BackupError(
    "InvalidConfigError",
    isSkipped
      ? "restore.consumer_group_strategy: skip leaves nothing to do for the third phase"
      : "restore.consumer_groups: is required, or auto_consumer_groups: true",
    { hint: "Say which groups' offsets are to be set, or use `kafka-backup restore`." },
  );
}

async function abandon(
  session: Session,
  config: RestoreConfig,
  options: ThreePhaseArguments & { readonly abandon: string },
): Promise<number> {
  const { abandonThreePhase } = await import("#core/three-phase/abandon.ts");
  const deps = await openRestoreDeps(session, config, options);
  const at = { backup_id: config.backup_id, three_phase_id: options.abandon };
  const result = await abandonThreePhase(deps, at, session.deadline);
  const rollback = await rollbackCommand(config, options.config, options);
  await session.write(result, () => abandonedThreePhaseText(result, rollback));
  return exitCodes.done;
}
