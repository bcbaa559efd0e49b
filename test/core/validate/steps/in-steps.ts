/** The validate machine's order of steps in one process, each step as a process of its own. */
import { type Deadline, deadlineAt } from "#core/runtime.ts";
import { validationItemsKey } from "#core/storage/validation-keys.ts";
import { systemClock } from "#core/system.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import { type BegunValidation, beginValidation } from "#core/validate/steps/begin.ts";
import { concludeValidation } from "#core/validate/steps/conclude.ts";
import type { SegmentsRequest, Validation } from "#core/validate/steps/contract.ts";
import { planTurn } from "#core/validate/steps/plan-turn.ts";
import type { ValidationResult } from "#core/validate/steps/report.ts";
import { validateWorkItem } from "#core/validate/steps/work-item.ts";
import type { SyntheticBackup } from "#test/support/synthetic-backup.ts";

export const noDeadline: Deadline = deadlineAt(systemClock, Infinity);
export const noTurnEnd = Number.MAX_SAFE_INTEGER;

/** A process of its own: nothing is handed on but JSON. */
function handedOver<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

let ids = 0;

/** With ids that differ from one process to the next, as in production. */
export function depsOf({ storage, catalog }: Pick<SyntheticBackup, "storage" | "catalog">) {
  const newId = () => (++ids).toString(16).padStart(8, "0").repeat(2);
  return { storage, catalog, clock: systemClock, newId };
}

type Deps = ReturnType<typeof depsOf>;

export function begin(
  deps: Deps,
  backupId: string,
  level: ValidationLevel,
  { turnMs = noTurnEnd, workers = 40 } = {},
): Promise<BegunValidation> {
  const request = { backup_id: backupId, level, workers };
  return beginValidation(deps, request, turnMs, noDeadline);
}

/** Plans to the end, and returns a request for each work item. */
export async function planned(
  deps: Deps,
  begun: BegunValidation,
  turnMs = noTurnEnd,
): Promise<{ requests: SegmentsRequest[]; turns: number }> {
  const validation = handedOver(begun.validation);
  let turns = 1;
  for (let { status } = begun; status === "continue"; turns++) {
    ({ status } = await planTurn(deps, validation, turnMs, noDeadline));
  }
  const items = JSON.parse((await deps.storage.get(validationItemsKey(validation))).toString());
  return { requests: items.map((item: object) => ({ validation, item })), turns };
}

/** Turns until the item is done; returns how many there were. */
export async function lookedAt(
  deps: Deps,
  request: SegmentsRequest,
  turnMs = noTurnEnd,
): Promise<number> {
  for (let turns = 1; ; turns++) {
    const { status } = await validateWorkItem(deps, request, turnMs, noDeadline);
    if (status === "done") return turns;
  }
}

export function concluded(deps: Deps, of: Validation): Promise<ValidationResult> {
  const { backup_id, validation_id, level, generation } = of;
  const validation = handedOver({ backup_id, validation_id, level, generation });
  return concludeValidation(deps, validation, noDeadline);
}

/** From begin to end. */
export async function validateInSteps(
  deps: Deps,
  backupId: string,
  level: ValidationLevel,
  turnMs = noTurnEnd,
): Promise<{ result: ValidationResult; planTurns: number; workTurns: number[] }> {
  const begun = await begin(deps, backupId, level, { turnMs });
  const { requests, turns: planTurns } = await planned(deps, begun, turnMs);
  const workTurns: number[] = [];
  for (const request of requests) workTurns.push(await lookedAt(deps, request, turnMs));
  return { result: await concluded(deps, begun.validation), planTurns, workTurns };
}
