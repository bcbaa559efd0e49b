/** What one command runs in: its voice, its clock, its wish to stop, and what it has open. */
import { printError } from "#cli/errors.ts";
import type { Io } from "#cli/io.ts";
import { type LogLevel, terminalLogger } from "#cli/logger.ts";
import { type OwnFormats, writeData } from "#cli/output.ts";
import { type ProgressDisplay, showProgress } from "#cli/progress.ts";
import { Terminal } from "#cli/terminal.ts";
import { CircuitBreaker, type ServiceWatch } from "#core/circuit-breaker.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import { type Clock, type Deadline, deadlineAt, type Logger, type NewId } from "#core/runtime.ts";
import { randomId, systemClock } from "#core/system.ts";

export interface SessionOptions {
  readonly format: string;
  readonly logLevel: LogLevel;
}

export interface Session {
  readonly io: Io;
  readonly terminal: Terminal;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Never comes by itself; its signal aborts on Ctrl-C. */
  readonly deadline: Deadline;
  /** Writes the command's result to stdout: as data, as `describe` puts it, or in an own format. */
  write(value: unknown, describe: () => string | Promise<string>, own?: OwnFormats): Promise<void>;
  /** Shows progress until the session ends or `stop` is called. */
  progress(step: string): ProgressDisplay;
  /**
   * Ends what follows, as Ctrl-C would, once brokers or storage answer nothing any more. For runs
   * that can be continued.
   */
  stopWhenNothingAnswers(): void;
  /** What clients of a service tell whether it answers. */
  watch(service: string): ServiceWatch;
  /** Has `close` called when the command is over, whichever way; the last one opened first. */
  closeLater(close: () => unknown): void;
}

/**
 * A process group gets a signal once from the terminal and once more from a parent that forwards
 * it: what follows within this time is no second wish.
 */
const signalEchoMs = 300;

/** Runs a command's work to its end, whatever it throws, and returns the exit code. */
export async function runSession(
  io: Io,
  options: SessionOptions,
  work: (session: Session) => Promise<number>,
): Promise<number> {
  const terminal = new Terminal(io.stderr, io.env);
  const clock = systemClock;
  const abort = new AbortController();
  const breaker = new CircuitBreaker(clock);
  const stopListening = io.onSignal(cancelOnSignal(io, terminal, clock, abort));
  const closers: (() => unknown)[] = [];
  const session: Session = {
    io,
    terminal,
    logger: terminalLogger(terminal, clock, options.logLevel),
    clock,
    newId: randomId,
    deadline: deadlineAt(clock, Number.POSITIVE_INFINITY, abort.signal),
    write: (value, describe, own) => writeData(io, options.format, value, describe, own),
    progress(step) {
      const display = showProgress(terminal, clock, step);
      closers.push(display.stop);
      return display;
    },
    stopWhenNothingAnswers() {
      const gone = breaker.beginRun();
      gone.addEventListener("abort", () => abort.abort(gone.reason), { once: true });
    },
    watch: (service) => breaker.watch(service),
    closeLater: (close) => closers.push(close),
  };
  try {
    return await closing(closers, () => work(session));
  } catch (error) {
    return printError(terminal, cancellation(error, abort.signal) ?? error, options.logLevel);
  } finally {
    stopListening();
  }
}

/** Closes one after the other, each in any case. What the work threw counts before what they do. */
async function closing(closers: (() => unknown)[], work: () => Promise<number>): Promise<number> {
  const failures: unknown[] = [];
  const collected = (error: unknown) => {
    failures.push(error);
    return undefined;
  };
  const exitCode = await work().catch(collected);
  for (const close of closers.reverse()) {
    try {
      await close();
    } catch (error) {
      collected(error);
    }
  }
  if (exitCode === undefined || failures.length > 0) throw failures[0];
  return exitCode;
}

/** Waiting calls reject in words of their own (`AbortError`) when the signal aborts. */
function cancellation(error: unknown, signal: AbortSignal): unknown {
  const isAbort = error instanceof Error && error.name === "AbortError";
  return signal.aborted && isAbort ? signal.reason : undefined;
}

function cancelOnSignal(io: Io, terminal: Terminal, clock: Clock, abort: AbortController) {
  let firstMs: number | undefined;
  return (name: string) => {
    if (firstMs === undefined) {
      firstMs = clock.monotonicMs();
      terminal.line("Stopping; what is durable is kept. Once more ends at once.");
      abort.abort(new BackupError("CancelledError", `stopped by ${name}`));
    } else if (clock.monotonicMs() - firstMs > signalEchoMs) {
      io.exitNow(exitCodes.cancelled);
    }
  };
}
