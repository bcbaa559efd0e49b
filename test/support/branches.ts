/**
 * The branches of a state machine, as its file has them and as executions took them: `A -> B`, and
 * `A fails -> B` where a Catch led there; `end` where the execution, or the Map's child, ended.
 */
import type { HistoryEvent } from "@aws-sdk/client-sfn";

interface Rule {
  readonly ErrorEquals: readonly string[];
  readonly Next?: string;
  readonly MaxAttempts?: number;
}

export interface StateDefinition {
  readonly Type: string;
  readonly Next?: string;
  readonly Default?: string;
  readonly Choices?: readonly { readonly Next: string; readonly StringEquals?: string }[];
  readonly Retry?: readonly Rule[];
  readonly Catch?: readonly Rule[];
  readonly ItemProcessor?: Machine;
}

export interface Machine {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, StateDefinition>>;
}

/** How a task of a Map's child ended. */
export type TaskEnd = { readonly error: string } | { readonly status?: string };

/** Where more than one state, or the end, may follow: all of a machine and of its Map. */
export function branchesOf({ States }: Machine): string[] {
  return Object.entries(States).flatMap(([name, state]) => {
    const { Type, Choices = [], Default, Catch = [], ItemProcessor } = state;
    const inner = ItemProcessor === undefined ? [] : branchesOf(ItemProcessor);
    const chosen = [
      ...Choices.map(({ Next }) => Next),
      ...(Default === undefined ? [] : [Default]),
    ];
    const caught = Catch.map(({ Next }) => failing(name, Next));
    if (Type === "Choice") return chosen.map((next) => passing(name, next));
    return [...(caught.length === 0 ? [] : [passing(name, state.Next), ...caught]), ...inner];
  });
}

function passing(from: string, to = "end"): string {
  return `${from} -> ${to}`;
}

function failing(from: string, to = "end"): string {
  return `${from} fails -> ${to}`;
}

/** Of an execution's own history, which does not tell of its Map's children. */
export function branchesTaken({ States }: Machine, events: readonly HistoryEvent[]): string[] {
  const taken: string[] = [];
  let at: string | undefined;
  let failed = false;
  for (const { type, stateEnteredEventDetails: entered } of events) {
    if (type === "TaskScheduled") failed = false;
    if (type === "TaskFailed") failed = true;
    const isOver = type === "ExecutionSucceeded";
    if (entered === undefined && !isOver) continue;
    if (at !== undefined) taken.push(branch(States[at]!, at, entered?.name, failed));
    at = entered?.name;
    failed = false;
  }
  return taken;
}

/** A Map's history does not say that it failed; where that leads no success does. */
function branch(
  { Next, Catch = [] }: StateDefinition,
  from: string,
  to: string | undefined,
  failed: boolean,
): string {
  const isCaught = Catch.some((rule) => rule.Next === to) && (failed || Next !== to);
  return isCaught ? failing(from, to) : passing(from, to);
}

/**
 * Of a Map's child. The emulator tells only how its tasks ended, so the definition is followed:
 * choices compare the status that the task before answered.
 */
export function branchesOfChild({ StartAt, States }: Machine, tasks: readonly TaskEnd[]): string[] {
  const taken: string[] = [];
  const left = [...tasks];
  let status: string | undefined;
  for (let at: string | undefined = StartAt; at !== undefined; ) {
    const state: StateDefinition = States[at]!;
    let next: string | undefined = state.Next;
    if (state.Type === "Task") {
      const ended = endOf(state, left);
      if (ended === undefined) return taken;
      if ("error" in ended) next = state.Catch?.find((rule) => matches(rule, ended.error))?.Next;
      else status = ended.status;
      taken.push("error" in ended ? failing(at, next) : passing(at, next));
    }
    if (state.Type === "Choice") {
      next = state.Choices?.find((choice) => choice.StringEquals === status)?.Next ?? state.Default;
      taken.push(passing(at, next));
    }
    at = next;
  }
  return taken;
}

function matches({ ErrorEquals }: Rule, error: string): boolean {
  return ErrorEquals.includes(error) || ErrorEquals.includes("States.ALL");
}

/** Of the last of its repetitions; undefined where the history ends before. */
function endOf({ Retry = [] }: StateDefinition, left: TaskEnd[]): TaskEnd | undefined {
  const repeated = new Map<Rule, number>();
  for (;;) {
    const ended = left.shift();
    if (ended === undefined || !("error" in ended)) return ended;
    const rule = Retry.find((one) => matches(one, ended.error));
    const count = rule === undefined ? 0 : (repeated.get(rule) ?? 0);
    if (rule === undefined || count === rule.MaxAttempts) return ended;
    repeated.set(rule, count + 1);
  }
}
