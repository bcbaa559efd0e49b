/** What holds for every state machine's file, and that names in it and in the code agree. */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { functionNames } from "#cdk/function-code.ts";
import { machines as deployedMachines } from "#cdk/machines/all.ts";
import { errorTable } from "#core/errors.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "statemachines");

interface ErrorRule {
  readonly ErrorEquals: readonly string[];
  readonly Next?: string;
  readonly JitterStrategy?: string;
  readonly MaxAttempts?: number;
}

interface State {
  readonly Type: string;
  readonly Comment?: string;
  readonly Resource?: string;
  readonly Next?: string;
  readonly End?: boolean;
  readonly TimeoutSeconds?: number;
  readonly TimeoutSecondsPath?: string;
  readonly MaxConcurrency?: number;
  readonly ItemProcessor?: { readonly States: Record<string, State> };
  readonly Retry?: readonly ErrorRule[];
  readonly Catch?: readonly ErrorRule[];
  readonly Parameters?: { readonly FunctionName?: string; readonly StateMachineArn?: string };
}

interface NamedState extends State {
  readonly name: string;
}

const machines = readdirSync(folder)
  .filter((file) => file.endsWith(".asl.json"))
  .map((file) => {
    const text = readFileSync(join(folder, file), "utf8");
    const definition = JSON.parse(text);
    return { file, text, definition, states: statesOf(definition.States) };
  });

function statesOf(states: Record<string, State>): NamedState[] {
  return Object.entries(states).flatMap(([name, state]) => [
    { name, ...state },
    ...statesOf(state.ItemProcessor?.States ?? {}),
  ]);
}

const allTasks = machines.flatMap(({ states }) => states.filter(({ Type }) => Type === "Task"));
/** What a function answers. */
const tasks = allTasks.filter(({ Resource }) => Resource === "arn:aws:states:::lambda:invoke");
/** What a person answers, with the token that a function was given. */
const questions = allTasks.filter(({ Resource }) => Resource?.endsWith(".waitForTaskToken"));
const nested = allTasks.filter(({ Resource }) => Resource?.includes(":states:startExecution"));

const notices = allTasks.filter(({ Resource }) => Resource === "arn:aws:states:::sns:publish");

test("every task is of a kind that is looked at here", () => {
  expect(tasks.length + questions.length + nested.length + notices.length).toBe(allTasks.length);
  for (const each of [tasks, questions, nested, notices]) expect(each.length).toBeGreaterThan(0);
});

/** What Lambda and Step Functions themselves say; no function of ours throws them. */
const namesOfAws = [
  "Lambda.AWSLambdaException",
  "Lambda.ClientExecutionTimeoutException",
  "Lambda.SdkClientException",
  "Lambda.ServiceException",
  "Lambda.TooManyRequestsException",
  "Lambda.Unknown",
  "Runtime.ExitError",
  "Sandbox.Timedout",
  "States.ALL",
  "States.TaskFailed",
  "States.Timeout",
  "StepFunctions.ExecutionLimitExceeded",
];

type Validator = (
  definition: object,
  options: { checkArn: boolean; checkPaths: boolean },
) => Promise<{
  isValid: boolean;
  errors: object[];
}>;
const validate: Validator = createRequire(import.meta.url)("asl-validator");

describe.each(machines)("$file", ({ text, definition, states }) => {
  test("is valid in the Amazon States Language", async () => {
    // Names of functions are put in when it is deployed. The validator writes into what it is given.
    const copy = structuredClone(definition);
    const result = await validate(copy, { checkArn: false, checkPaths: true });
    expect(result.errors).toEqual([]);
    expect(result.isValid).toBe(true);
  });

  test("ends by itself", () => {
    expect(definition.TimeoutSeconds).toBeGreaterThan(0);
  });

  test("bounds its Maps, and catches whatever they end with", () => {
    for (const { MaxConcurrency, Catch = [] } of states.filter(({ Type }) => Type === "Map")) {
      expect(MaxConcurrency).toBeGreaterThan(0);
      expect(Catch.at(-1)?.ErrorEquals).toEqual(["States.ALL"]);
    }
  });

  test("uses nothing that the emulator passes over, untested, but for an approval's time", () => {
    const passedOver = ["ItemBatcher", "ResultWriter", "HeartbeatSeconds", "MaxConcurrencyPath"];
    for (const name of passedOver) expect(text).not.toContain(`"${name}`);
    for (const { TimeoutSecondsPath, Resource } of states) {
      if (TimeoutSecondsPath !== undefined) expect(Resource).toMatch(/\.waitForTaskToken$/);
    }
  });

  test("names in ErrorEquals are those of the table of errors, or of AWS", () => {
    const rules = states.flatMap(({ Retry = [], Catch = [] }) => [...Retry, ...Catch]);
    const names = new Set(rules.flatMap(({ ErrorEquals }) => ErrorEquals));
    const known = [...Object.keys(errorTable), ...namesOfAws];
    expect([...names].filter((name) => !known.includes(name))).toEqual([]);
  });

  test("functions that it names exist", () => {
    expect(functionsOf(states).filter((name) => !functionNames().includes(name))).toEqual([]);
  });
});

test("items of Maps answer nothing, so that 10,000 of them fit into a Map's output", () => {
  const maps = machines.flatMap(({ states }) => states.filter(({ Type }) => Type === "Map"));
  expect(maps.length).toBeGreaterThan(0);
  for (const { ItemProcessor } of maps) {
    const ends = Object.values(ItemProcessor?.States ?? {}).filter(({ End }) => End);
    expect(ends.map(({ Comment, ...said }) => said)).toEqual([
      { Type: "Pass", Result: {}, End: true },
    ]);
  }
});

test("each function is deployed once, and named by a machine", () => {
  const named = new Set(machines.flatMap(({ states }) => functionsOf(states)));
  expect([...named].sort()).toEqual(functionNames().sort());
  const deployed = deployedMachines.flatMap(({ functions }) => Object.keys(functions));
  expect(deployed.toSorted()).toEqual(functionNames().sort());
  const files = machines.map(({ file }) => file.replace(".asl.json", ""));
  expect(deployedMachines.map(({ name }) => name).sort()).toEqual(files.sort());
});

function functionsOf(states: readonly State[]): string[] {
  return states.flatMap(({ Parameters }) => Parameters?.FunctionName ?? []).map(functionOf);
}

/** `${PlanBackupFunctionArn}`: `plan-backup`. */
function functionOf(reference: string): string {
  const name = /^\$\{(\w+)FunctionArn\}$/.exec(reference)?.[1] ?? "";
  return name.replaceAll(/(?<!^)([A-Z])/g, "-$1").toLowerCase();
}

describe.each(tasks)("task $name", ({ TimeoutSeconds, Retry = [], Catch = [] }) => {
  test("has a timeout that is longer than its function's own", () => {
    expect(TimeoutSeconds).toBeGreaterThan(15 * 60);
  });

  test("repeats every error that a pause may mend, with jitter", () => {
    const retried = Retry.flatMap(({ ErrorEquals }) => ErrorEquals);
    const mendable = Object.entries(errorTable)
      .filter(([, { retry }]) => retry === "backoff")
      .map(([name]) => name);
    expect(retried).toEqual(expect.arrayContaining(mendable));
    expect(retried).toEqual(expect.arrayContaining(["Sandbox.Timedout", "States.Timeout"]));
    for (const { JitterStrategy, MaxAttempts } of Retry) {
      expect(JitterStrategy).toBe("FULL");
      expect(MaxAttempts).toBeGreaterThan(0);
    }
  });

  test("repeats nothing that repeating cannot mend", () => {
    const never = Object.entries(errorTable)
      .filter(([, { retry }]) => retry !== "backoff")
      .map(([name]) => name);
    const retried = Retry.flatMap(({ ErrorEquals }) => ErrorEquals);
    expect(retried.filter((name) => never.includes(name) || name === "States.ALL")).toEqual([]);
  });

  test("catches whatever is left", () => {
    expect(Catch.at(-1)?.ErrorEquals).toEqual(["States.ALL"]);
  });
});

describe.each(nested)("execution within an execution $name", (state) => {
  const { Resource, Parameters, TimeoutSeconds = 0, Retry, Catch = [] } = state;

  test("is waited for, for longer than it takes itself, and caught whatever it ends with", () => {
    expect(Resource).toBe("arn:aws:states:::states:startExecution.sync:2");
    const name = /^\$\{(\w+)StateMachineArn\}$/.exec(Parameters?.StateMachineArn ?? "")?.[1];
    const inner = machines.find(({ file }) => file === `${name?.toLowerCase()}.asl.json`);
    expect(TimeoutSeconds).toBeGreaterThan(inner?.definition.TimeoutSeconds);
    expect(Catch.at(-1)?.ErrorEquals).toEqual(["States.ALL"]);
  });

  /** By AWS's guide, of a call that a quota refused: no execution was started, so none is doubled. */
  test("is repeated where it was not started, else not: it repeats within itself what may mend", () => {
    expect(Retry).toEqual([
      expect.objectContaining({
        ErrorEquals: ["StepFunctions.ExecutionLimitExceeded"],
        MaxAttempts: expect.any(Number),
        JitterStrategy: "FULL",
      }),
    ]);
  });
});

test.each(notices)(
  "notice $name keeps nothing from going on, and the token to itself",
  (notice) => {
    const { Next, TimeoutSeconds, Catch = [] } = notice;
    expect(TimeoutSeconds).toBeGreaterThan(0);
    expect(Catch).toEqual([expect.objectContaining({ ErrorEquals: ["States.ALL"], Next })]);
    expect(JSON.stringify(notice)).not.toContain("$$.Task.Token");
  },
);

describe.each(questions)("question $name", (state) => {
  const { TimeoutSeconds, TimeoutSecondsPath, Retry = [], Catch = [] } = state;
  const retried = Retry.flatMap(({ ErrorEquals }) => ErrorEquals);

  test("waits as long as its input says, and is not asked again when nobody answers", () => {
    expect(TimeoutSeconds).toBeUndefined();
    expect(TimeoutSecondsPath).toMatch(/^\$\.\w+/);
    expect(retried).not.toContain("States.Timeout");
    expect(Catch.map(({ ErrorEquals }) => ErrorEquals)).toEqual([
      ["States.Timeout"],
      ["States.ALL"],
    ]);
  });

  test("is asked again where the function that asks it fails for a while", () => {
    const mendable = Object.entries(errorTable).filter(([, { retry }]) => retry === "backoff");
    const names = mendable.map(([name]) => name);
    expect(retried).toEqual(expect.arrayContaining([...names, "Sandbox.Timedout"]));
    for (const { JitterStrategy } of Retry) expect(JitterStrategy).toBe("FULL");
  });
});

test("every error of the table that a machine names is thrown by something in the tree, not named alone", () => {
  const sources = readdirSync(join(root, "core"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && file !== "errors.ts")
    .map((file) => readFileSync(join(root, "core", file), "utf8"))
    .join("\n");
  const named = Object.keys(errorTable).filter((name) =>
    machines.some(({ text }) => text.includes(`"${name}"`)),
  );
  const isThrown = (name: string) => new RegExp(`new BackupError\\(\\s*"${name}"`).test(sources);
  expect(named.filter((name) => !isThrown(name))).toEqual([]);
  expect(named.length).toBeGreaterThan(0);
});
