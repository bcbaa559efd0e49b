import { expect, test } from "vitest";
import { failure } from "#functions/failure.ts";

const ofFunction = JSON.stringify({ errorType: "BackupConflictError", errorMessage: "is held" });

test.each([
  ["a function", { Error: "BackupConflictError", Cause: ofFunction }],
  ["a Fail state", { Error: "BackupConflictError", Cause: "is held" }],
  [
    "an execution within",
    {
      Error: "States.TaskFailed",
      Cause: JSON.stringify({
        ExecutionArn: "arn",
        Status: "FAILED",
        Error: "BackupConflictError",
        Cause: ofFunction,
      }),
    },
  ],
])("what %s told is taken out of its envelope", (_, told) => {
  expect(failure.parse(told)).toEqual({ error: "BackupConflictError", message: "is held" });
});

test("what Step Functions itself says is kept as it is", () => {
  const told = { Error: "States.Timeout" };
  expect(failure.parse(told)).toEqual({ error: "States.Timeout", message: "" });
  const stopped = JSON.stringify({ ExecutionArn: "arn", Status: "ABORTED" });
  expect(failure.parse({ Error: "States.TaskFailed", Cause: stopped })).toEqual({
    error: "States.TaskFailed",
    message: stopped,
  });
});
