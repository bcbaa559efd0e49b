/** The command line. Only here and in other entry points is the process itself touched. */
import { Command, CommanderError } from "commander";
import { commandContext, withExamples } from "#cli/command.ts";
import { commands } from "#cli/commands/index.ts";
import { type Io, processIo } from "#cli/io.ts";
import { exitCodes } from "#core/errors.ts";
import { softwareVersion } from "#core/software.ts";

/** Runs one command line (without `node` and script) and returns its exit code. Never throws. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode: number = exitCodes.done;
  const context = commandContext(io, (code) => {
    exitCode = code;
  });
  const program = newProgram(io);
  const wanted = wantedCommand(argv);
  for (const { name, summary, load } of commands) {
    const command = program.command(name).description(summary);
    // The others are only listed: their modules stay unloaded.
    if (name === wanted) (await load()).configure(command, context);
  }
  try {
    await program.parseAsync(argv, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return exitCodeOfParsing(error);
    throw error;
  }
}

function newProgram(io: Io): Command {
  const program = new Command("kafka-backup")
    .description("Backs up Apache Kafka topics to a folder or an S3 bucket, and restores them.")
    .version(softwareVersion)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 80,
      getErrHelpWidth: () => io.stderr.columns ?? 80,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  program.addHelpText("after", `\nExit codes:\n${exitCodeLines.join("\n")}`);
  return withExamples(program, [
    ["kafka-backup config init backup --output backup.yaml", "write a first configuration"],
    ["kafka-backup backup --config backup.yaml", "back up; again for what is new since"],
    ["kafka-backup describe --path ./backups --backup-id ID", "see what a backup holds"],
    [
      "kafka-backup restore --config restore.yaml --time-window-end 2025-01-15T10:30:00Z",
      "restore topics as they were at a time",
    ],
    ["kafka-backup COMMAND --help", "see examples and options of a command"],
  ]);
}

const exitCodeMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: "done",
  failed: "failed",
  usage: "usage or configuration is wrong",
  doneWithGaps: "done, with gaps or failed partitions",
  notFound: "not found",
  leaseHeld: "another run holds the lease",
  denied: "denied",
  damaged: "damaged",
  preflightRefused: "refused before the first write",
  cancelled: "cancelled; the same command goes on",
};

const exitCodeLines = Object.entries(exitCodes).map(
  ([name, code]) => `  ${code}`.padEnd(18) + exitCodeMeanings[name as keyof typeof exitCodes],
);

/** The first word that is no option: options before it are the program's own and take no value. */
function wantedCommand(argv: readonly string[]): string | undefined {
  const words = argv.filter((argument) => !argument.startsWith("-"));
  return words[0] === "help" ? words[1] : words[0];
}

function exitCodeOfParsing(error: CommanderError): number {
  return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
}

/** Anything that is still open this long after the end must not hold back the exit. */
const lingerMs = 1000;

/** Runs the process's own command line. */
export async function main(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), processIo());
  await Promise.all([process.stdout, process.stderr].map(handedOver));
  setTimeout(() => process.exit(), lingerMs).unref();
}

/** A pipe takes 64 KiB, and the rest as its reader gets on; what is left at the exit is lost. */
function handedOver(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => resolve());
  });
}
