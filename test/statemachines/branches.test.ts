/** What the deployed test of every branch rests on: branches are read out of files and histories. */
import type { HistoryEvent } from "@aws-sdk/client-sfn";
import { describe, expect, test } from "vitest";
import {
  branchesOf,
  branchesOfChild,
  branchesTaken,
  type Machine,
} from "#test/support/branches.ts";

const all = [{ ErrorEquals: ["States.ALL"], Next: "Tell" }];

const inner: Machine = {
  StartAt: "Work",
  States: {
    Work: {
      Type: "Task",
      Retry: [{ ErrorEquals: ["Busy"], MaxAttempts: 2 }],
      Catch: all,
      Next: "IsDone",
    },
    IsDone: {
      Type: "Choice",
      Choices: [{ StringEquals: "continue", Next: "Work" }],
      Default: "Done",
    },
    Tell: { Type: "Task", Catch: [{ ErrorEquals: ["States.ALL"], Next: "Failed" }], Next: "Done" },
    Done: { Type: "Pass" },
    Failed: { Type: "Fail" },
  },
};

const outer: Machine = {
  StartAt: "Plan",
  States: {
    Plan: { Type: "Task", Catch: all, Next: "Map" },
    Map: { Type: "Map", ItemProcessor: inner, Catch: all, Next: "Tell" },
    Tell: { Type: "Task", Catch: [{ ErrorEquals: ["States.ALL"], Next: "Over" }], Next: "Over" },
    Over: { Type: "Fail" },
  },
};

test("branches are every choice and every Catch, also within a Map", () => {
  expect(branchesOf(outer)).toEqual([
    ...["Plan -> Map", "Plan fails -> Tell", "Map -> Tell", "Map fails -> Tell"],
    ...["Work -> IsDone", "Work fails -> Tell", "IsDone -> Work", "IsDone -> Done"],
    ...["Tell -> Done", "Tell fails -> Failed", "Tell -> Over", "Tell fails -> Over"],
  ]);
});

describe("a history", () => {
  const entered = (name: string) => ({ stateEnteredEventDetails: { name } });
  const events = (...some: object[]) => some as HistoryEvent[];
  const scheduled = { type: "TaskScheduled" };
  const failed = { type: "TaskFailed" };

  test("tells a Catch from what goes the same way without an error", () => {
    const told = [entered("Tell"), scheduled, { type: "TaskSucceeded" }, entered("Over")];
    expect(branchesTaken(outer, events(...told))).toEqual(["Tell -> Over"]);
    const untold = [entered("Tell"), scheduled, failed, entered("Over")];
    expect(branchesTaken(outer, events(...untold))).toEqual(["Tell fails -> Over"]);
  });

  test("takes a repetition that worked for no failure", () => {
    const repeated = [entered("Plan"), scheduled, failed, scheduled, entered("Map")];
    expect(branchesTaken(outer, events(...repeated))).toEqual(["Plan -> Map"]);
  });

  test("ends where the execution succeeds", () => {
    const ended = [entered("Plan"), scheduled, { type: "ExecutionSucceeded" }];
    expect(branchesTaken(outer, events(...ended))).toEqual(["Plan -> end"]);
  });
});

describe("a Map's child", () => {
  test("is followed through its turns and repetitions", () => {
    const tasks = [
      { error: "Busy" },
      { status: "continue" },
      { error: "Busy" },
      { status: "done" },
    ];
    expect(branchesOfChild(inner, tasks)).toEqual([
      ...["Work -> IsDone", "IsDone -> Work", "Work -> IsDone", "IsDone -> Done"],
    ]);
  });

  test("is caught after its last repetition", () => {
    const tasks = [...[1, 2, 3].map(() => ({ error: "Busy" })), { error: "Broken" }];
    expect(branchesOfChild(inner, tasks)).toEqual(["Work fails -> Tell", "Tell fails -> Failed"]);
  });

  test("that is still at work has taken what it has taken", () => {
    expect(branchesOfChild(inner, [{ error: "Busy" }])).toEqual([]);
    expect(branchesOfChild(inner, [{ status: "continue" }])).toEqual([
      ...["Work -> IsDone", "IsDone -> Work"],
    ]);
  });
});
