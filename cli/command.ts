/**
 * How commands are made.
 *
 * To add one: write `cli/commands/NAME.ts` that exports `configure`, add a line for it to
 * `cli/commands/index.ts`, and tests under `test/cli/commands/`. In `configure`:
 *
 *     export const configure: Configure = (command, context) => {
 *       withExamples(command, [["kafka-backup list --path /backups", "what is in a folder"]]);
 *       command.requiredOption("--path <location>", pathHelp);
 *       context.action(command, async (session, options: { path: string }) => {
 *         const storage = await openStorageAt(session, parseLocation(options.path));
 *         const catalog = await openCatalogOn(session, storage);
 *         const backups = await listBackups({ catalog, clock: session.clock }, session.deadline);
 *         await session.write(backups, () => tableText(session.io, tableOf(backups)));
 *         return exitCodes.done;
 *       });
 *     };
 *
 * - A command converts and calls; what is decided is decided in `core/`.
 * - Import the engine inside the action (`await import("#core/…")`) or through `cli/runtime.ts`,
 *   which does so: `--help` must load neither kafkajs nor the AWS SDK.
 * - The result goes to `session.write` once, at the end, as the engine's own plain object;
 *   everything else is talk: `session.terminal.line`, `session.logger`, `session.progress`.
 * - Throw BackupErrors and return exit codes (`core/errors.ts`); nothing here prints an error.
 * - What is opened through `cli/runtime.ts` is closed when the action is over.
 */
import { type Command, Option } from "commander";
import type { Io } from "#cli/io.ts";
import { type LogLevel, logLevels } from "#cli/logger.ts";
import { formats } from "#cli/output.ts";
import { runSession, type Session } from "#cli/session.ts";

export interface CommandEntry {
  readonly name: string;
  /** One line of `kafka-backup --help`. */
  readonly summary: string;
  load(): Promise<{ readonly configure: Configure }>;
}

/** Adds examples, options and an action to a command that has its name and summary already. */
export type Configure = (command: Command, context: CommandContext) => void;

export interface CommandContext {
  readonly io: Io;
  /**
   * Adds the options that all commands share, and what the command does. `work` is handed the
   * parsed options and arguments and returns an exit code. `ownFormats` are further values of
   * --format, for which `work` hands texts to `session.write`.
   */
  action<Options>(
    command: Command,
    work: (session: Session, options: Options, ...args: string[]) => Promise<number>,
    ownFormats?: readonly string[],
  ): void;
}

interface SharedOptions {
  readonly format: string;
  readonly logLevel: LogLevel;
}

/** `finish` is told the exit code when an action is over. */
export function commandContext(io: Io, finish: (exitCode: number) => void): CommandContext {
  return {
    io,
    action(command, work, ownFormats = []) {
      command
        .addOption(formatOption(ownFormats))
        .addOption(logLevelOption())
        .action(async () => {
          const { format, logLevel } = command.opts<SharedOptions>();
          const run = (session: Session) => work(session, command.opts() as never, ...command.args);
          finish(await runSession(io, { format, logLevel }, run));
        });
    },
  };
}

function formatOption(ownFormats: readonly string[]): Option {
  return new Option("--format <format>", "how to write the result")
    .choices([...formats, ...ownFormats])
    .default("table");
}

function logLevelOption(): Option {
  return new Option("--log-level <level>", "what to tell on stderr")
    .choices(logLevels)
    .default("info");
}

/** Help begins with what can be typed. Pairs of a command line and what it is for. */
export function withExamples(
  command: Command,
  examples: readonly (readonly [line: string, purpose: string])[],
): Command {
  const lines = examples.map(([line, purpose]) => `  # ${purpose}\n  ${line}\n`);
  return command.addHelpText("before", `Examples:\n${lines.join("\n")}`);
}

export const pathHelp =
  "where backups are: a folder, file:///folder, or s3://bucket/prefix?endpoint=URL&region=NAME";
export const configHelp = "configuration file (kafka-backup config init writes one)";
/** Where the AWS variables say: `AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, … */
export const tableHelp = "DynamoDB table of the backups' `catalog`, to read fewer documents";
