import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { IdleLimit, limitMsOf } from "#core/storage/time-limit.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("a request has as long as its bytes take on a slow line, beside 30 s of waiting", () => {
  expect(limitMsOf(0)).toBe(30_000);
  expect(limitMsOf(8 * 1024 * 1024)).toBe(97_109);
});

test("an answer may take any time as long as something comes", () => {
  const limit = new IdleLimit();
  for (let i = 0; i < 100; i++) {
    vi.advanceTimersByTime(29_999);
    limit.moved();
  }
  expect(limit.signal.aborted).toBe(false);
  vi.advanceTimersByTime(30_000);
  expect(limit.signal.reason).toMatchObject({ name: "TimeoutError" });
});

test("what was sent has time to be sent, once", () => {
  const limit = new IdleLimit(1_250_000);
  vi.advanceTimersByTime(39_999);
  expect(limit.signal.aborted).toBe(false);
  limit.moved();
  vi.advanceTimersByTime(30_000);
  expect(limit.signal.aborted).toBe(true);
});

test("a request that is over is not aborted any more", () => {
  const limit = new IdleLimit();
  limit.end();
  vi.advanceTimersByTime(100_000);
  expect(limit.signal.aborted).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
});
