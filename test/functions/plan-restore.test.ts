import { expect, test } from "vitest";
import { restoreInput } from "#functions/plan-restore.ts";
import { documentedInput } from "#test/functions/machine-readme.ts";

const { examples, fields } = documentedInput("restore");

test("there are examples to paste", () => {
  expect(examples.length).toBeGreaterThanOrEqual(3);
});

test.each(examples)("the example %s is an input that the machine takes", (json) => {
  expect(restoreInput.safeParse(JSON.parse(json)).error).toBeUndefined();
});

test("the document names every field, and no others", () => {
  const named = fields.filter((field) => !field.startsWith("topics."));
  expect(named).toEqual(Object.keys(restoreInput.shape));
  expect(fields).toEqual(expect.arrayContaining(["topics.include", "topics.exclude"]));
});

test("R9 a time is read as the configuration reads it", () => {
  const input = { time_window_end: "2026-01-31T10:30:00Z" };
  expect(restoreInput.parse(input).time_window_end).toBe(1_769_855_400_000n);
  const seconds = restoreInput.safeParse({ time_window_end: 1_769_855_400 });
  expect(seconds.error?.issues[0]?.path).toEqual(["time_window_end"]);
});
