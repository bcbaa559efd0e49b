/** The sub-commands that check whether a rollback is possible, and do it. */
import { type Command, Option } from "commander";
import { type CommandContext, pathHelp, tableHelp, withExamples } from "#cli/command.ts";
import { openPath, openPlace, snapshotIdHelp } from "#cli/commands/offset-rollback/snapshots.ts";
import {
  type ConnectionOptions,
  connectByOptions,
  connectIfTold,
  withConnectionOptions,
} from "#cli/connection-options.ts";
import { nameList } from "#cli/option-values.ts";
import { rollbackText, verdictText } from "#cli/snapshot-text.ts";
import { exitCodes } from "#core/errors.ts";

interface VerifyOptions extends ConnectionOptions {
  readonly path: string;
  readonly snapshotId: string;
}

export function configureVerify(parent: Command, context: CommandContext): void {
  const command = parent
    .command("verify")
    .description("checks a snapshot; with a cluster, whether a rollback to it would be possible")
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--snapshot-id <id>", snapshotIdHelp);
  withConnectionOptions(command);
  withExamples(command, [
    ["kafka-backup offset-rollback verify --path /backups --snapshot-id ID", "the document alone"],
    [
      "kafka-backup offset-rollback verify --path /backups --snapshot-id ID --bootstrap-servers kafka:9092",
      "also topics, logs, groups and their members",
    ],
  ]);
  command.addHelpText(
    "after",
    "\nExits 13 for a damaged snapshot, 14 where a rollback would be refused.",
  );
  context.action(command, async (session, options: VerifyOptions) => {
    const { verifySnapshot } = await import("#core/offsets/verify-snapshot.ts");
    const storage = await openPath(session, options.path);
    const cluster = await connectIfTold(session, options);
    const deps = { storage, ...(cluster !== undefined && { cluster }) };
    const verdict = await verifySnapshot(deps, options.snapshotId);
    await session.write(verdict, () => verdictText(session.io, verdict));
    const isRefused = verdict.against?.can_roll_back === false;
    return isRefused ? exitCodes.preflightRefused : exitCodes.done;
  });
}

interface RollbackOptions extends VerifyOptions {
  readonly table?: string;
  readonly groups?: readonly string[];
  readonly verify: "true" | "false";
  readonly force?: boolean;
}

export function configureRollback(parent: Command, context: CommandContext): void {
  const command = parent
    .command("rollback")
    .description("puts groups back to where a snapshot says that they stood")
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--snapshot-id <id>", snapshotIdHelp)
    .option("--groups <names>", "only these of the snapshot's groups: names or patterns", nameList)
    .addOption(
      new Option("--verify <choice>", "read back what was committed and compare")
        .choices(["true", "false"])
        .default("true"),
    )
    .option("--force", "take the nearer end of the log for a position outside it")
    .option("--table <name>", tableHelp);
  withConnectionOptions(command);
  withExamples(command, [
    [
      "kafka-backup offset-rollback rollback --path /backups --snapshot-id ID --bootstrap-servers kafka:9092",
      "all groups of the snapshot",
    ],
  ]);
  command.addHelpText(
    "after",
    "\nOffsets, metadata and absent positions become what the snapshot says. What the groups have\n" +
      "committed before is stored first: a rollback to that snapshot undoes this one. Groups with\n" +
      "members are refused, whatever is forced: stop their consumers first. Exits 3 where some groups\n" +
      "could not be put back, 1 where none could.",
  );
  context.action(command, async (session, options: RollbackOptions) => {
    const { rollbackOffsets } = await import("#core/offsets/rollback.ts");
    const place = await openPlace(session, options);
    const cluster = await connectByOptions(session, options);
    const { clock, logger, newId, deadline } = session;
    const request = {
      snapshot_id: options.snapshotId,
      ...(options.groups !== undefined && { groups: options.groups }),
      clamp: options.force === true,
      verify: options.verify === "true",
    };
    const deps = { ...place, cluster, clock, logger, newId };
    const result = await rollbackOffsets(deps, request, deadline);
    await session.write(result, () => rollbackText(session.io, result));
    if (result.status === "done") return exitCodes.done;
    const isSomeChanged = result.outcomes.some(({ status }) => status === "changed");
    return isSomeChanged ? exitCodes.doneWithGaps : exitCodes.failed;
  });
}
