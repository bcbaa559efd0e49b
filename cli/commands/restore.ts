import { Option } from "commander";
import { type Configure, configHelp, withExamples } from "#cli/command.ts";
import { abandonText, dryRunText, restoreText } from "#cli/restore-text.ts";
import { connectTo, openCatalogOn, openStorageAt, readRestoreConfig } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import type { ConfigOverride } from "#core/config/parse.ts";
import type { RestoreConfig } from "#core/config/schema.ts";
import { exitCodes } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreRequest } from "#core/restore/request.ts";

/** Partitions restored at a time: with a pipeline of 5 batches each, two cores have enough to do. */
const concurrentPartitions = 4;
/** At most so much is looked at again after a crash. */
const checkpointIntervalMs = 5000;

interface RestoreOptions {
  readonly config: string;
  readonly timeWindowStart?: string;
  readonly timeWindowEnd?: string;
  readonly lineage?: string;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly new?: true;
  readonly abandon?: string;
}

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
  const changing = ["timeWindowStart", "timeWindowEnd", "lineage", "dryRun", "yes", "new"];
  command
    .requiredOption("--config <file>", configHelp)
    .option("--time-window-start <time>", "no older records: Unix milliseconds or ISO 8601")
    .option("--time-window-end <time>", "no newer records: Unix milliseconds or ISO 8601")
    .option("--lineage <number>", "which life of re-created topics; the newest unless said")
    .option("--dry-run", "make all checks and show the plan; write nothing")
    .option("--yes", "append to target topics that hold records already")
    .option("--new", "restore once more what was restored before")
    .addOption(new Option("--abandon <id>", "give up an unfinished restore").conflicts(changing));
  context.action(command, runCommand);
};

async function runCommand(session: Session, options: RestoreOptions): Promise<number> {
  const config = await readRestoreConfig(session, options.config, overridesOf(options));
  const deps = await openDeps(session, config);
  if (options.abandon !== undefined) return abandon(session, config, deps, options.abandon);
  const request = restoreRequestOf(config);
  const isNew = options.new === true;
  if (config.restore.dry_run) return dryRun(session, deps, request, isNew);

  const { runRestore } = await import("#core/restore/run.ts");
  const { onProgress, stop } = session.progress("restore");
  const result = await runRestore(
    { ...deps, onProgress },
    request,
    {
      start_new: isNew,
      max_concurrent_partitions: concurrentPartitions,
      checkpoint_interval_ms: checkpointIntervalMs,
      bootstrap_servers: config.target.bootstrap_servers,
    },
    session.deadline,
  );
  stop();
  await session.write(result, () => restoreText(session.io, result));
  return result.status === "incomplete" ? exitCodes.doneWithGaps : exitCodes.done;
}

/** Options stand over what the file says. */
function overridesOf(options: RestoreOptions): ConfigOverride[] {
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

async function openDeps(session: Session, config: RestoreConfig): Promise<RestoreDeps> {
  const storage = await openStorageAt(session, config.storage);
  const catalog = await openCatalogOn(session, storage);
  const cluster = await connectTo(session, "target", config.target, concurrentPartitions);
  const { clock, logger, newId } = session;
  return { storage, catalog, cluster, clock, logger, newId };
}

export function restoreRequestOf({ backup_id, target, restore }: RestoreConfig): RestoreRequest {
  const { time_window_start: start, time_window_end: end, lineage } = restore;
  return {
    backup_id,
    window: { ...(start !== undefined && { start }), ...(end !== undefined && { end }) },
    topics: target.topics,
    topic_mapping: restore.topic_mapping,
    partition_mapping: restore.partition_mapping,
    ...(lineage !== undefined && { lineage }),
    create_topics: restore.create_topics,
    allow_non_empty: restore.allow_non_empty,
  };
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
  { backup_id }: RestoreConfig,
  deps: RestoreDeps,
  restore_id: string,
): Promise<number> {
  const { abandonRestore } = await import("#core/restore/abandon.ts");
  const result = await abandonRestore(deps, { backup_id, restore_id }, session.deadline);
  await session.write(result, () => abandonText(result));
  return exitCodes.done;
}
