/** `kafka-backup doctor`: whether all is there that a backup or restore needs. */
import { type Configure, configHelp, withExamples } from "#cli/command.ts";
import { doctorText } from "#cli/doctor-text.ts";
import { clusterConfigOf, readConfig } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import type { Config } from "#core/config/schema.ts";
import type { DoctorRequest } from "#core/doctor/contract.ts";
import { exitCodes } from "#core/errors.ts";

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup doctor --config backup.yaml", "before the first run, and when runs fail"],
    [
      "kafka-backup doctor --config restore.yaml --format json | jq '.findings[]'",
      "what to mend, for scripts; exit 0: nothing",
    ],
  ]);
  command.requiredOption("--config <file>", configHelp);
  context.action(command, async (session, options: { config: string }) => {
    const request = await requestOf(session, await readConfig(session, options.config));
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

async function requestOf(session: Session, config: Config): Promise<DoctorRequest> {
  const { withAwsEnvironment } = await import("#core/config/storage-environment.ts");
  const { source } = config;
  return {
    config,
    storage: withAwsEnvironment(config.storage, session.io.env),
    ...(source !== undefined && { source: await clusterConfigOf("source", source) }),
    ...(config.mode === "restore" && { target: await clusterConfigOf("target", config.target) }),
  };
}
