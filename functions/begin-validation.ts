/** First step of the validate machine: checks its input, reads the manifests, begins to plan. */
import { z } from "zod";
import { backupIdRule } from "#core/config/values.ts";
import { randomId } from "#core/system.ts";
import { validationLevels } from "#core/validate/findings.ts";
import { beginValidation } from "#core/validate/steps/begin.ts";
import { itemListIn } from "#functions/item-list.ts";
import { step } from "#functions/runtime.ts";

/** What a person or a schedule starts the machine with. */
export const validateInput = z.strictObject({
  /** The deployment's own unless given. */
  backup_id: backupIdRule.exactOptional(),
  level: z.enum(validationLevels).default("shallow"),
  /** Ends each turn of planning, and of a worker, so many milliseconds after it began. */
  turn_ms: z.int().min(1).default(Number.MAX_SAFE_INTEGER),
});

export const handler = step(validateInput, async (step, { turn_ms, ...wanted }) => {
  const { backup_id, storage } = await step.config();
  const deps = { ...(await step.catalogDeps()), newId: randomId };
  const request = { backup_id, ...wanted, workers: step.workers };
  const begun = await beginValidation(deps, request, turn_ms, step.deadline);
  const { validation, status, items } = begun;
  return {
    validation: { ...validation, turn_ms },
    plan: { status, items: itemListIn(storage, items) },
  };
});
