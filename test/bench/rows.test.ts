import { expect, test } from "vitest";
import { atLeast, atMost, medianOf, percentile99, ratioAtMost, row } from "../../bench/rows.ts";

const itself = (value: number) => value;

test("the median is the middle run, or lies between the two in the middle", () => {
  expect(medianOf([9], itself)).toBe(9);
  expect(medianOf([100, 1, 10], itself)).toBe(10);
  expect(medianOf([100, 1, 10, 20], itself)).toBe(15);
});

test("one outlier in a hundred is above the 99th percentile, two are not", () => {
  const usual = Array.from({ length: 98 }, () => 1);
  expect(percentile99([...usual, 1, 500])).toBe(1);
  expect(percentile99([...usual, 500, 500])).toBe(500);
});

test("a target of the ratio is judged by ours to theirs", () => {
  const target = ratioAtMost(0.6);
  expect(row("time", "s", 6, { theirs: 10, target })).toMatchObject({
    ratio: 0.6,
    isReached: true,
  });
  expect(row("time", "s", 7, { theirs: 10, target })).toMatchObject({ isReached: false });
});

test("a target of ours is judged by ours alone", () => {
  const memory = (ours: number) => row("memory", "MB", ours, { theirs: 1, target: atMost(300) });
  expect(memory(300).isReached).toBe(true);
  expect(memory(301).isReached).toBe(false);
  const rate = (ours: number) => row("rate", "MB/s", ours, { target: atLeast(100) });
  expect(rate(100).isReached).toBe(true);
  expect(rate(99).isReached).toBe(false);
});

test("what has no target is not judged", () => {
  expect(row("CPU time", "s", 1, { theirs: 2 })).toEqual({
    ...{ what: "CPU time", unit: "s", ours: 1, theirs: 2, ratio: 0.5 },
  });
});
