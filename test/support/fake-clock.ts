import { setImmediate } from "node:timers/promises";
import type { Clock } from "#core/runtime.ts";

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** A clock that stands still unless a test moves it; both of its times move together. */
export class FakeClock implements Clock {
  readonly #epochMs: number;
  #elapsedMs = 0;
  #sleepers: Sleeper[] = [];

  /** `epochMs` is the wall clock's time at the start, Unix milliseconds. */
  constructor(epochMs = Date.UTC(2026, 0, 31, 12)) {
    this.#epochMs = epochMs;
  }

  nowMs(): number {
    return this.#epochMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const wake = () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const sleeper = { atMs: this.#elapsedMs + ms, wake };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#sleepers.push(sleeper);
    });
  }

  get sleeperCount(): number {
    return this.#sleepers.length;
  }

  /** Moves time on, waking each sleeper at its own time and letting it run before the next one. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await setImmediate();
    for (;;) {
      const next = this.#nextSleeper();
      if (next === undefined || next.atMs > untilMs) break;
      await this.#wake(next);
    }
    this.#elapsedMs = untilMs;
  }

  /** Moves time whenever somebody sleeps, until `work` is settled; gives what it gives. */
  async runUntil<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    work.then(settle, settle);
    for (;;) {
      await setImmediate();
      if (isSettled) return work;
      const next = this.#nextSleeper();
      if (next !== undefined) await this.#wake(next);
    }
  }

  #nextSleeper(): Sleeper | undefined {
    return this.#sleepers.reduce<Sleeper | undefined>(
      (first, sleeper) => (first === undefined || sleeper.atMs < first.atMs ? sleeper : first),
      undefined,
    );
  }

  async #wake(sleeper: Sleeper): Promise<void> {
    this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
    this.#elapsedMs = Math.max(this.#elapsedMs, sleeper.atMs);
    sleeper.wake();
    await setImmediate();
  }
}

/** A clock that moves only by sleeping, and then at once; `slept` lists the pauses. */
export function skippingClock(startMs = 1_700_000_000_000): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  let elapsedMs = 0;
  return {
    slept,
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      elapsedMs += ms;
    },
  };
}
