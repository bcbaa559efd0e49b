import { expect, test } from "vitest";
import { offsetRollbackInput } from "#functions/snapshot-offsets.ts";
import { documentedInput } from "#test/functions/machine-readme.ts";

const { examples, fields } = documentedInput("offset-rollback");

test.each(examples)("the example %s is an input that the machine takes", (json) => {
  expect(offsetRollbackInput.safeParse(JSON.parse(json)).error).toBeUndefined();
});

test("the document names every field, and no others", () => {
  expect(fields).toEqual(Object.keys(offsetRollbackInput.shape));
});
