/** Goes on planning in the validate machine, where one turn was not enough for all run lists. */
import { z } from "zod";
import { randomId } from "#core/system.ts";
import { validationOfMachine } from "#core/validate/steps/contract.ts";
import { planTurn } from "#core/validate/steps/plan-turn.ts";
import { itemListIn } from "#functions/item-list.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({ validation: validationOfMachine });

export const handler = step(input, async (step, { validation: { turn_ms, ...validation } }) => {
  const { storage } = await step.config();
  const deps = { ...(await step.catalogDeps()), newId: randomId };
  const { status, items } = await planTurn(deps, validation, turn_ms, step.deadline);
  return { status, items: itemListIn(storage, items) };
});
