/**
 * Stops a run when the brokers or the storage answer nothing any more. Without it each partition
 * would wait out its own repetitions, one after the other: 2,000 partitions, four at a time, 30 s
 * each, are four hours of waiting for a broker that is gone.
 *
 * Whoever sends requests tells of each answer and each failure. When a call has used all of its
 * repetitions up and nothing at all was answered meanwhile, further calls would fare no better:
 * the run's signal aborts, and the run ends as on Ctrl-C, with all that is durable kept. One
 * broker of several that is dead stops nothing, for the others answer.
 */
import { BackupError, isRetryable } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";

export interface BreakerPolicy {
  /** Failures in a row, of all calls together, without an answer between them. */
  readonly failuresMin: number;
  /** Since the first of them. Shorter than a call's own repetitions (16 s to 33 s, and 30 s). */
  readonly failingMsMin: number;
}

export const breakerPolicyDefault: BreakerPolicy = { failuresMin: 5, failingMsMin: 10_000 };

/** What a client of a service tells. */
export interface ServiceWatch {
  /** The service answered, be it with a refusal. */
  answered(): void;
  /** A request failed. One that was refused for good counts as answered. */
  failed(error: unknown): void;
  /**
   * A call failed for the last time. Returns what it is to throw: `error`, or the
   * CircuitOpenError that has ended the run.
   */
  gaveUp(error: unknown): unknown;
  /** Throws the CircuitOpenError once there is one: nothing is to be repeated any more. */
  throwIfOpen(): void;
}

interface Streak {
  readonly sinceMs: number;
  readonly sinceTimeMs: number;
  readonly failures: number;
}

export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #policy: BreakerPolicy;
  readonly #streaks = new Map<string, Streak>();
  /** Undefined while there is no run to be stopped. */
  #run: AbortController | undefined;
  #name: string | undefined;

  constructor(clock: Clock, policy: BreakerPolicy = breakerPolicyDefault) {
    this.#clock = clock;
    this.#policy = policy;
  }

  /**
   * From now on there is a run to be stopped: by this signal. It knows of no failure yet, unless it
   * is the one of that name that was begun last: each turn of a worker may see too few to stop.
   */
  beginRun(name?: string): AbortSignal {
    if (name === undefined || name !== this.#name) this.#streaks.clear();
    this.#name = name;
    this.#run = new AbortController();
    return this.#run.signal;
  }

  /** `service` in the words of the message: "brokers of the source". */
  watch(service: string): ServiceWatch {
    return {
      answered: () => {
        this.#streaks.delete(service);
      },
      failed: (error) => {
        if (isRetryable(error)) this.#count(service);
        else this.#streaks.delete(service);
      },
      gaveUp: (error) => {
        if (isRetryable(error)) this.#openIfGone(service, error as BackupError);
        return this.#run?.signal.aborted ? this.#run.signal.reason : error;
      },
      throwIfOpen: () => this.#run?.signal.throwIfAborted(),
    };
  }

  #count(service: string): void {
    const before = this.#streaks.get(service);
    const { sinceMs, sinceTimeMs, failures } = before ?? {
      sinceMs: this.#clock.monotonicMs(),
      sinceTimeMs: this.#clock.nowMs(),
      failures: 0,
    };
    this.#streaks.set(service, { sinceMs, sinceTimeMs, failures: failures + 1 });
  }

  #openIfGone(service: string, error: BackupError): void {
    const streak = this.#streaks.get(service);
    if (this.#run === undefined || streak === undefined) return;
    const forMs = this.#clock.monotonicMs() - streak.sinceMs;
    if (streak.failures < this.#policy.failuresMin || forMs < this.#policy.failingMsMin) return;
    this.#run.abort(circuitOpen(service, streak, forMs, error));
  }
}

function circuitOpen(
  service: string,
  { failures, sinceTimeMs }: Streak,
  forMs: number,
  last: BackupError,
): BackupError {
  const since = new Date(sinceTimeMs).toISOString();
  return new BackupError(
    "CircuitOpenError",
    `the ${service} answered nothing since ${since}, for ${Math.round(forMs / 1_000)} s: ` +
      `${failures} requests failed in a row, the last with ${last.name}: ${last.message}`,
    { cause: last, details: { service, since, failures } },
  );
}

/** For who is not part of a run. */
export const unwatched: ServiceWatch = {
  answered() {},
  failed() {},
  gaveUp: (error) => error,
  throwIfOpen() {},
};
