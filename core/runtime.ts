/** What the engine is handed from outside: time, chance, a voice, and when to stop. */

export interface Clock {
  /** Wall clock, Unix milliseconds. For records of when; never to decide who is first (C7). */
  nowMs(): number;
  /** Milliseconds of a clock that only this process reads and that never runs backwards. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Returns a new unguessable token of 16 lower-case hexadecimal digits. */
export type NewId = () => string;

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};

/**
 * When to stop. A worker asks `passed()` between steps and returns `continue` with its cursor;
 * `signal` aborts at once (Ctrl-C), and is for waiting calls.
 */
export interface Deadline {
  readonly signal: AbortSignal;
  passed(): boolean;
  remainingMs(): number;
}

/** A deadline at `atMs` of the clock's monotonic time; `Infinity` for none. */
export function deadlineAt(
  clock: Clock,
  atMs: number,
  signal: AbortSignal = new AbortController().signal,
): Deadline {
  const remainingMs = () => atMs - clock.monotonicMs();
  return { signal, remainingMs, passed: () => signal.aborted || remainingMs() <= 0 };
}

/** What an engine tells while it works, for a progress bar, metrics or a benchmark. */
export type ProgressEvent =
  /** How much there is to do: offsets or records still to be moved. */
  | { kind: "planned"; partitions: number; records: number }
  /** Records moved since the partition's last event; `bytes` are those of their batches. */
  | { kind: "advanced"; topic: string; partition: number; records: number; bytes: number }
  /** A checkpoint became durable; `durationMs` counts from the closing of the last frame. */
  | { kind: "checkpoint"; topic: string; partition: number; durationMs: number }
  | { kind: "finished"; topic: string; partition: number };

export type OnProgress = (event: ProgressEvent) => void;
