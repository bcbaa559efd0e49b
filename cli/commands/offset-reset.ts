/** `kafka-backup offset-reset`: consumer groups put where their restored records are. */
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  type CommandContext,
  type Configure,
  pathHelp,
  tableHelp,
  withExamples,
} from "#cli/command.ts";
import { sourceCommandConfigHelp } from "#cli/command-config.ts";
import {
  type ConnectionOptions,
  connectByOptions,
  connectIfTold,
  withConnectionOptions,
} from "#cli/connection-options.ts";
import { checkedPlanText, resetText } from "#cli/offset-text.ts";
import { nameList } from "#cli/option-values.ts";
import { connectTo, openCatalogOn, openStorageAt, readConfig, tableNamed } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import {
  type GroupSelection,
  type OffsetSource,
  type OffsetStrategy,
  offsetSource,
  offsetStrategies,
} from "#core/offsets/contract.ts";
import type { OffsetPlanRequest, PlanDeps } from "#core/offsets/plan.ts";
import type { ResetResult } from "#core/offsets/reset.ts";
import { parseLocation } from "#core/storage/location.ts";

interface ResetOptions extends ConnectionOptions {
  readonly path: string;
  readonly table?: string;
  readonly backupId: string;
  readonly groups?: readonly string[];
  readonly allGroups?: boolean;
  readonly strategy: OffsetStrategy;
  readonly offsetSource?: OffsetSource;
  readonly restoreId?: string;
  readonly sourceBootstrapServers?: string;
  readonly sourceCommandConfig?: string;
}

const planLine = "kafka-backup offset-reset plan --path /backups --backup-id orders";
const executeLine = "kafka-backup offset-reset execute --path /backups --backup-id orders";

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [`${planLine} --groups billing`, "where a group would stand; asks Kafka nothing"],
    [
      `${executeLine} --groups billing --bootstrap-servers kafka:9092`,
      "put it there, behind a safety snapshot",
    ],
  ]);
  configurePlan(command, context);
  configureExecute(command, context);
  configureScript(command, context);
};

function configurePlan(parent: Command, context: CommandContext): void {
  const command = parent
    .command("plan")
    .description(
      "shows where groups would stand, and why; with a cluster also where they stand now",
    );
  withResetOptions(command);
  withExamples(command, [
    [`${planLine} --groups billing,orders-*`, "from backup and offset map alone"],
    [
      `${planLine} --all-groups --bootstrap-servers kafka:9092`,
      "against what the groups have committed now",
    ],
  ]);
  command.addHelpText(
    "after",
    "\nWith a cluster it exits 14 where execute would refuse, groups with members among the reasons.",
  );
  context.action(command, async (session, options: ResetOptions) => {
    const cluster = await connectIfTold(session, options);
    const { checkedPlan } = await import("#core/offsets/reset.ts");
    const deps = await openDeps(session, options, cluster);
    const { plan, findings } = await checkedPlan(deps, requestOf(options), session.deadline);
    const answer = cluster === undefined ? plan : { ...plan, findings };
    await session.write(answer, () => checkedPlanText(session.io, plan, findings));
    return findings.length > 0 ? exitCodes.preflightRefused : exitCodes.done;
  });
}

function configureExecute(parent: Command, context: CommandContext): void {
  const command = parent
    .command("execute")
    .description("stores what the groups have committed, then commits what the plan says");
  withResetOptions(command).option(
    "--force",
    "commit the log's end where the plan lies beyond it; never overrides members",
  );
  withExamples(command, [
    [
      `${executeLine} --groups billing --bootstrap-servers kafka:9092`,
      "by the offset map of the only restore into that cluster; of several name one: --restore-id ID",
    ],
    [
      `${executeLine} --all-groups --config restore.yaml --offset-source current`,
      "from where the groups stand now",
    ],
  ]);
  command.addHelpText(
    "after",
    "\nGroups with members are refused, whatever is forced: stop their consumers first. Partitions\n" +
      "that were not restored stay untouched. Exits 3 where some groups could not be reset, 1 where\n" +
      "none could.",
  );
  context.action(command, async (session, options: ResetOptions & { force?: true }) => {
    const { resetOffsets } = await import("#core/offsets/reset.ts");
    const cluster = await connectByOptions(session, options);
    const deps = { ...(await openDeps(session, options, cluster)), cluster, newId: session.newId };
    const request = requestOf(options);
    const clamp = { clamp: options.force === true };
    const result = await resetOffsets(deps, request, clamp, session.deadline);
    const { shellQuoted } = await import("#core/offsets/script.ts");
    const where = placeOptions(options).map(shellQuoted).join(" ");
    await session.write(result, () => resetText(session.io, result, where));
    return exitCodeFor(result);
  });
}

function placeOptions({ path, bootstrapServers, config, commandConfig }: ResetOptions): string[] {
  return [
    ...["--path", path],
    ...(bootstrapServers === undefined ? [] : ["--bootstrap-servers", bootstrapServers]),
    ...(config === undefined ? [] : ["--config", config]),
    ...(commandConfig === undefined ? [] : ["--command-config", commandConfig]),
  ];
}

function exitCodeFor({ status, outcomes }: ResetResult): number {
  if (status !== "incomplete") return exitCodes.done;
  const isSomeChanged = outcomes.some((outcome) => outcome.status === "changed");
  return isSomeChanged ? exitCodes.doneWithGaps : exitCodes.failed;
}

function configureScript(parent: Command, context: CommandContext): void {
  const command = parent
    .command("script")
    .description("writes the plan as a shell script of kafka-consumer-groups.sh calls");
  withResetOptions(command);
  withExamples(command, [
    [
      "kafka-backup offset-reset script --path /backups --backup-id orders --groups billing > reset.sh",
      "to read it, and run it with BOOTSTRAP=kafka:9092 sh reset.sh",
    ],
  ]);
  command.addHelpText("after", "\nIt does what execute does, but for the offsets' metadata.");
  context.action(command, async (session, options: ResetOptions) => {
    const { offsetScript, refuseReportOnly } = await import("#core/offsets/script.ts");
    refuseReportOnly(options.strategy);
    const cluster = await connectIfTold(session, options);
    const script = offsetScript(await makePlan(session, options, cluster));
    await session.write({ script }, () => script);
    return exitCodes.done;
  });
}

function withResetOptions(command: Command): Command {
  command
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--backup-id <id>", "the backup, as list shows it")
    .option(
      "--groups <names>",
      "names or patterns, divided by commas (\\, for one in a name)",
      nameList,
    )
    .addOption(new Option("--all-groups", "every group that is known").conflicts("groups"))
    .addOption(
      new Option("--strategy <strategy>", "how a position is found in the target")
        .choices(offsetStrategies)
        .default("offset-map"),
    )
    .option(
      "--offset-source <source>",
      "at-window-end, latest, current or snapshot:ID; at-window-end after a restore to a time, " +
        "else latest",
      readOffsetSource,
    )
    .option(
      "--restore-id <id>",
      "the restore, or newest for the one that finished last; needed where several fit",
    );
  command.option("--table <name>", tableHelp);
  return withConnectionOptions(command)
    .option(
      "--source-bootstrap-servers <servers>",
      "the backup's own cluster, for --offset-source current where it is not the target " +
        "(in a configuration: source)",
    )
    .option("--source-command-config <file>", sourceCommandConfigHelp);
}

function readOffsetSource(text: string): OffsetSource {
  const parsed = offsetSource.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError("It must be at-window-end, latest, current or snapshot:ID.");
}

function requestOf(options: ResetOptions): OffsetPlanRequest {
  const { backupId, strategy, offsetSource, restoreId } = options;
  return {
    backup_id: backupId,
    groups: selectionOf(options),
    strategy,
    ...(offsetSource !== undefined && { offset_source: offsetSource }),
    ...(restoreId !== undefined && { restore_id: restoreId }),
  };
}

function selectionOf({ groups, allGroups }: ResetOptions): GroupSelection {
  if (allGroups === true) return { all: true };
  if (groups !== undefined) return { groups: [...groups] };
  throw new BackupError("InvalidRequestError", "--groups or --all-groups is missing", {
    hint: "Name the groups: --groups NAME,NAME; or take --all-groups.",
  });
}

async function makePlan(session: Session, options: ResetOptions, cluster: Cluster | undefined) {
  const { planOffsets } = await import("#core/offsets/plan.ts");
  const deps = await openDeps(session, options, cluster);
  return planOffsets(deps, requestOf(options), session.deadline);
}

async function openDeps(
  session: Session,
  options: ResetOptions,
  cluster: Cluster | undefined,
): Promise<PlanDeps> {
  const storage = await openStorageAt(session, parseLocation(options.path));
  const catalog = await openCatalogOn(session, storage, tableNamed(options.table));
  const source = await connectToSource(session, options);
  const { clock, logger } = session;
  return {
    ...{ storage, catalog, clock, logger },
    ...(cluster !== undefined && { cluster }),
    ...(source !== undefined && { source }),
  };
}

/** Only `current` asks the backup's own cluster; undefined where the target may be that. */
async function connectToSource(
  session: Session,
  { config, offsetSource, sourceBootstrapServers, sourceCommandConfig }: ResetOptions,
): Promise<Cluster | undefined> {
  if (offsetSource !== "current") {
    const given = sourceBootstrapServers ?? sourceCommandConfig;
    if (given === undefined) return undefined;
    const option =
      given === sourceBootstrapServers ? "--source-bootstrap-servers" : "--source-command-config";
    throw new BackupError("InvalidRequestError", `${option} is for --offset-source current alone`, {
      hint: "Leave it out, or add --offset-source current.",
    });
  }
  const bySource = {
    ...(sourceBootstrapServers !== undefined && { bootstrapServers: sourceBootstrapServers }),
    ...(sourceCommandConfig !== undefined && { commandConfig: sourceCommandConfig }),
  };
  if (config === undefined || sourceBootstrapServers !== undefined) {
    return connectIfTold(session, bySource);
  }
  const file = await readConfig(session, config);
  if (file.mode !== "restore" || file.source === undefined) {
    return connectIfTold(session, bySource);
  }
  return connectTo(session, "source", file.source, { commandConfig: sourceCommandConfig });
}
