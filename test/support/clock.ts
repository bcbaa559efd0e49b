import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "#core/runtime.ts";

/** This machine's time. */
export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

/** Time that passes only by sleeping, at once; `slept` lists the pauses. */
export function fakeClock(startMs = 1_700_000_000_000): Clock & { readonly slept: number[] } {
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
