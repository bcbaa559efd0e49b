import { expect, test } from "vitest";
import { failedPartitionsText } from "#cli/failed-partitions.ts";
import { fakeIo } from "#test/cli/fake-io.ts";

const failure = {
  topic: "orders",
  partition: 7,
  error: "AccessDeniedError",
  message: "no Read on orders",
  hint: "Grant it.",
};

test("nothing is said where nothing failed", async () => {
  expect(await failedPartitionsText(fakeIo(), "Failed.", [])).toBe("");
});

test("each failure is a row, and each hint is given once", async () => {
  const failed = [failure, { ...failure, partition: 12 }, { ...failure, partition: 13, hint: "" }];
  expect((await failedPartitionsText(fakeIo(), "Failed.", failed)).split("\n")).toEqual([
    "",
    "Failed.",
    "topic   partition  error              what",
    "orders          7  AccessDeniedError  no Read on orders",
    "orders         12  AccessDeniedError  no Read on orders",
    "orders         13  AccessDeniedError  no Read on orders",
    "hint: Grant it.",
    "",
  ]);
});

test("a hint cannot steer the terminal", async () => {
  const text = await failedPartitionsText(fakeIo(), "Failed.", [
    { ...failure, hint: "see \u001b[2J" },
  ]);
  expect(text).toContain("hint: see \ufffd[2J\n");
});
