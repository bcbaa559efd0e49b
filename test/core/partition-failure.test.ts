import { describe, expect, test } from "vitest";
import { BackupError, type ErrorName } from "#core/errors.ts";
import {
  failedPartition,
  type PartitionFailure,
  throwIfNothingWorked,
} from "#core/partition-failure.ts";

function failures(...causes: readonly unknown[]): PartitionFailure[] {
  return causes.map((cause, partition) => ({ topic: "orders", partition, cause }));
}

const refused = (message: string, name: ErrorName = "AccessDeniedError") =>
  new BackupError(name, message);

describe("a run", () => {
  test("in which every partition failed for one reason ends with the first failure (K7)", () => {
    const failed = failures(refused("orders-0"), refused("orders-1"));
    expect(() => throwIfNothingWorked(failed, 2)).toThrow(failed[0]!.cause as Error);
  });

  test("goes on where one partition worked, or the reasons differ (K7)", () => {
    const alike = failures(refused("orders-0"), refused("orders-1"));
    throwIfNothingWorked(alike, 3);
    throwIfNothingWorked(failures(refused("orders-0"), refused("", "TopicNotFoundError")), 2);
    throwIfNothingWorked(failures(new Error("one defect"), new Error("another")), 2);
    throwIfNothingWorked([], 0);
  });
});

test("a result tells a failure's name, message and hint", () => {
  const cause = new BackupError("AccessDeniedError", "no Read", { hint: "Grant it." });
  const [known, foreign] = failures(cause, new TypeError("a defect")).map(failedPartition);
  expect(known).toEqual({
    topic: "orders",
    partition: 0,
    error: "AccessDeniedError",
    message: "no Read",
    hint: "Grant it.",
  });
  expect(foreign).toMatchObject({
    partition: 1,
    error: "TypeError",
    message: "a defect",
    hint: "",
  });
});
