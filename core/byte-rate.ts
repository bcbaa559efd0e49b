/** How fast bytes may move: one bound for all that a process moves at the same time. */
import pLimit from "p-limit";
import type { Clock, Deadline } from "#core/runtime.ts";

/** So long may bytes that were not used be saved up. */
const burstSeconds = 1;

/**
 * A token bucket, full at the beginning. What is taken in any time span of `t` seconds is at most
 * `bytesPerSecond * t + max(burstBytes, the largest piece)`. Who comes first is served first.
 */
export class ByteRate {
  /** Bytes of one second. Taking more at once is allowed, and is paid off by those who follow. */
  readonly burstBytes: number;
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  /** Takers one after the other, or those of small pieces would starve one of a large one. */
  readonly #inTurn = pLimit(1);
  /** Bytes that may be taken, as of `#asOfMs`; below 0 after a piece of more than a burst. */
  #level: number;
  #asOfMs: number;
  /** Ends the pause of who is being served: bytes were given back. */
  #given = new AbortController();

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.burstBytes = Math.max(1, Math.floor(bytesPerSecond * burstSeconds));
    this.#level = this.burstBytes;
    this.#asOfMs = clock.monotonicMs();
  }

  /** Waits until so many bytes may move. False where the deadline came first: they may not. */
  take(bytes: number, deadline: Deadline): Promise<boolean> {
    return this.#inTurn(() => this.#takeNow(bytes, deadline));
  }

  /** Of bytes that were taken: so many did not move. Negative: more did. */
  give(bytes: number): void {
    this.#refill();
    this.#level = Math.min(this.burstBytes, this.#level + bytes);
    this.#given.abort();
    this.#given = new AbortController();
  }

  async #takeNow(bytes: number, deadline: Deadline): Promise<boolean> {
    const wanted = Math.min(bytes, this.burstBytes);
    for (;;) {
      this.#refill();
      if (this.#level >= wanted) break;
      if (deadline.passed()) return false;
      const ms = Math.ceil(((wanted - this.#level) / this.#bytesPerSecond) * 1_000);
      await this.#pause(Math.min(ms, deadline.remainingMs()), deadline.signal);
    }
    this.#level -= bytes;
    return true;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#asOfMs) / 1_000) * this.#bytesPerSecond;
    this.#level = Math.min(this.burstBytes, this.#level + earned);
    this.#asOfMs = nowMs;
  }

  async #pause(ms: number, deadline: AbortSignal): Promise<void> {
    const woken = AbortSignal.any([deadline, this.#given.signal]);
    try {
      await this.#clock.sleep(ms, woken);
    } catch (error) {
      if (!woken.aborted) throw error;
    }
  }
}

/** Undefined without a limit. */
export function byteRateOf(clock: Clock, bytesPerSecond: number | undefined): ByteRate | undefined {
  return bytesPerSecond === undefined ? undefined : new ByteRate(clock, bytesPerSecond);
}

/** Of a limit for a whole run, what one of its workers may have; never nothing. */
export function shareOfWorker(bytesPerSecond: number, workers: number): number {
  return Math.max(1, Math.floor(bytesPerSecond / Math.max(1, workers)));
}
