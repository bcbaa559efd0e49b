import { expect, test } from "vitest";
import { throttleMetric } from "#functions/runtime.ts";

test("K5 the time that a quota held a turn back is measured, not what it held back others before", () => {
  const cluster = { throttledMs: () => 1_700 };
  expect(throttleMetric(cluster, 200)).toEqual({ ThrottledTime: [1_500, "Milliseconds"] });
});

test("K5 a turn that no quota held back measures nothing", () => {
  expect(throttleMetric({ throttledMs: () => 200 }, 200)).toEqual({});
});
