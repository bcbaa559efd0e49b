import { expect, test } from "vitest";
import { validateInput } from "#functions/begin-validation.ts";
import { documentedInput } from "#test/functions/machine-readme.ts";

const { examples, fields } = documentedInput("validate");

test("there are examples to paste", () => {
  expect(examples.length).toBeGreaterThanOrEqual(2);
});

test.each(examples)("the example %s is an input that the machine takes", (json) => {
  expect(validateInput.safeParse(JSON.parse(json)).error).toBeUndefined();
});

test("the document names every field, and no others", () => {
  expect(fields).toEqual(Object.keys(validateInput.shape));
});

test("unless said, a validation is shallow and its turns are as long as they can be", () => {
  expect(validateInput.parse({})).toEqual({ level: "shallow", turn_ms: Number.MAX_SAFE_INTEGER });
});
