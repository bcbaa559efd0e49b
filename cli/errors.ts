/** How errors are told, and what exit code they make. */
import type { LogLevel } from "#cli/logger.ts";
import { printable } from "#cli/output.ts";
import type { Terminal } from "#cli/terminal.ts";
import { BackupError, exitCodeOf } from "#core/errors.ts";

/** Prints name, what and where, and what to do; the stack with `--log-level debug` only. */
export function printError(terminal: Terminal, error: unknown, level: LogLevel): number {
  const thrown = error instanceof Error ? error : new Error(String(error));
  const [first = "", ...more] = thrown.message.split("\n").map(printable);
  terminal.line(`${terminal.style("red", thrown.name)}: ${first}`);
  for (const line of more) terminal.line(`  ${line}`);
  terminal.line(`${terminal.style("bold", "hint")}: ${hintOf(thrown, level)}`);
  if (level === "debug") printStack(terminal, thrown);
  return exitCodeOf(error);
}

function hintOf(error: Error, level: LogLevel): string {
  if (error instanceof BackupError) return error.hint;
  return level === "debug"
    ? "This is a defect of kafka-backup. Please report it with the stack below."
    : "This is a defect of kafka-backup. Please report it with the output of --log-level debug.";
}

/** Deeper chains of causes are loops. */
const causesMax = 8;

function printStack(terminal: Terminal, error: Error): void {
  let cause: unknown = error;
  for (let depth = 0; cause instanceof Error && depth < causesMax; depth++) {
    if (depth > 0) terminal.line(`caused by ${cause.name}: ${printable(cause.message)}`);
    const frames = (cause.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    for (const frame of frames) terminal.line(terminal.style("dim", printable(frame)));
    cause = cause.cause;
  }
}
