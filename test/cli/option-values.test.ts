import { expect, test } from "vitest";
import { nameList } from "#cli/option-values.ts";

test("names are divided by commas, and an option that comes again adds to them", () => {
  expect(nameList("a,b c", nameList("first"))).toEqual(["first", "a", "b c"]);
});

test("a comma behind a backslash is part of a name", () => {
  expect(nameList("a\\,b,c")).toEqual(["a,b", "c"]);
});

test.each(["", ",", "a,", ",a", "a,,b"])(
  "%j holds a name that is empty, which is refused",
  (text) => {
    expect(() => nameList(text)).toThrow("It must be names, divided by commas.");
  },
);
