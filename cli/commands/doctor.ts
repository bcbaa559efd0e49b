/** `kafka-backup doctor`: whether all is there that a backup or restore needs. */
import { type Configure, configHelp, withExamples } from "#cli/command.ts";
import { commandConfigHelp, sourceCommandConfigHelp } from "#cli/command-config.ts";
import { doctorText } from "#cli/doctor-text.ts";
import type { CommandConfigs } from "#cli/restore-options.ts";
import { clusterConfigOf, readConfig, withCommandConfig } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import type { Config, ConnectionConfig } from "#core/config/schema.ts";
import type { DoctorRequest } from "#core/doctor/contract.ts";
import { BackupError, exitCodes } from "#core/errors.ts";

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup doctor --config backup.yaml", "before the first run, and when runs fail"],
    [
      "kafka-backup doctor --config restore.yaml --format json | jq '.findings[]'",
      "what to mend, for scripts; exit 0: nothing",
    ],
  ]);
  command
    .requiredOption("--config <file>", configHelp)
    .option(
      "--command-config <file>",
      `of a backup's source or a restore's target: ${commandConfigHelp}`,
    )
    .option("--source-command-config <file>", sourceCommandConfigHelp);
  context.action(command, async (session, options: DoctorArguments) => {
    const request = await requestOf(session, await readConfig(session, options.config), options);
    const { needsAttention } = await import("#core/doctor/contract.ts");
    const { runDoctor } = await import("#core/doctor/run.ts");
    const { freeSpaceAt } = await import("#core/storage/free-space.ts");
    const { clock, logger, newId } = session;
    const deps = { clock, logger, newId, freeSpaceAt };
    const report = await runDoctor(deps, request, session.deadline);
    await session.write(report, () => doctorText(session.io, report));
    return needsAttention(report) ? exitCodes.doneWithGaps : exitCodes.done;
  });
};

interface DoctorArguments extends CommandConfigs {
  readonly config: string;
}

async function requestOf(
  session: Session,
  config: Config,
  { commandConfig, sourceCommandConfig }: CommandConfigs,
): Promise<DoctorRequest> {
  const { withStorageEnvironment } = await import("#core/config/storage-environment.ts");
  const { source } = config;
  const ofSource = config.mode === "restore" ? sourceCommandConfig : commandConfig;
  if (sourceCommandConfig !== undefined && (source === undefined || config.mode === "backup")) {
    throw new BackupError("InvalidRequestError", "--source-command-config does nothing", {
      hint: "It is for the source of a restore; of a backup's, --command-config is.",
    });
  }
  const reach = (section: "source" | "target", connection: ConnectionConfig, file?: string) =>
    file === undefined
      ? clusterConfigOf(section, connection)
      : withCommandConfig(session, section, connection, file);
  return {
    config,
    storage: withStorageEnvironment(config.storage, session.io.env),
    ...(source !== undefined && { source: await reach("source", source, ofSource) }),
    ...(config.mode === "restore" && {
      target: await reach("target", config.target, commandConfig),
    }),
  };
}
