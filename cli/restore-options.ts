/** What the commands that restore have in common: options, the request, what they work on. */
import type { Command } from "commander";
import { configHelp } from "#cli/command.ts";
import { commandConfigHelp, sourceCommandConfigHelp } from "#cli/command-config.ts";
import { connectTo, openCatalogOn, openStorageAt } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import type { ConfigOverride } from "#core/config/parse.ts";
import type { RestoreConfig } from "#core/config/schema.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { restoreSettingsOf } from "#core/restore/request.ts";
import type { RestoreOptions } from "#core/restore/run.ts";

/** Properties of Kafka clients, in place of the sections' keys for security. */
export interface CommandConfigs {
  readonly commandConfig?: string;
  readonly sourceCommandConfig?: string;
}

export interface RestoreArguments extends CommandConfigs {
  readonly config: string;
  readonly timeWindowStart?: string;
  readonly timeWindowEnd?: string;
  readonly lineage?: string;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly new?: true;
  readonly abandon?: string;
}

/** Names of the options with which nothing can be given up. */
export const changingOptions = [
  ...["timeWindowStart", "timeWindowEnd", "lineage", "dryRun", "yes", "new"],
];

export function withRestoreOptions(command: Command): Command {
  return command
    .requiredOption("--config <file>", configHelp)
    .option("--command-config <file>", `of the target: ${commandConfigHelp}`)
    .option("--source-command-config <file>", sourceCommandConfigHelp)
    .option("--time-window-start <time>", "no older records: Unix milliseconds or ISO 8601")
    .option("--time-window-end <time>", "no newer records: Unix milliseconds or ISO 8601")
    .option("--lineage <number>", "which life of re-created topics; the newest unless said")
    .option("--dry-run", "make all checks and show the plan; write nothing")
    .option("--yes", "append to target topics that hold records already")
    .option("--new", "restore once more what was restored before");
}

/** Options stand over what the file says. */
export function overridesOf(options: RestoreArguments): ConfigOverride[] {
  const overrides: ConfigOverride[] = [];
  const set = (key: string, value: string | number | boolean | undefined, from: string) => {
    if (value !== undefined) overrides.push({ path: ["restore", key], value, from });
  };
  set("time_window_start", options.timeWindowStart, "--time-window-start");
  set("time_window_end", options.timeWindowEnd, "--time-window-end");
  set("lineage", numberIn(options.lineage), "--lineage");
  set("dry_run", options.dryRun, "--dry-run");
  set("allow_non_empty", options.yes, "--yes");
  return overrides;
}

/** What is no number stays as it is, for the schema to refuse. */
function numberIn(text: string | undefined): number | string | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : text;
}

export async function openRestoreDeps(
  session: Session,
  config: RestoreConfig,
  { commandConfig, sourceCommandConfig }: CommandConfigs,
): Promise<RestoreDeps> {
  if (sourceCommandConfig !== undefined && config.source === undefined) {
    throw new BackupError("InvalidRequestError", "--source-command-config does nothing", {
      hint: "Leave it out: the configuration has no source.",
    });
  }
  const storage = await openStorageAt(session, config.storage);
  const catalog = await openCatalogOn(session, storage, config.catalog);
  const lanes = config.restore.max_concurrent_partitions;
  const cluster = await connectTo(session, "target", config.target, { lanes, commandConfig });
  const { clock, logger, newId } = session;
  return { storage, catalog, cluster, clock, logger, newId };
}

export function restoreOptionsOf(config: RestoreConfig, isNew: boolean): RestoreOptions {
  return { ...restoreSettingsOf(config), start_new: isNew };
}
