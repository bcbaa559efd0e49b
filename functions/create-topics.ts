/** Second step of the restore machine: one turn at making its topics and their settings ready. */
import { z } from "zod";
import { restoreRunOfMachine } from "#core/restore/steps/contract.ts";
import { prepareRestore } from "#core/restore/steps/prepare.ts";
import { itemListIn } from "#functions/item-list.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({ run: restoreRunOfMachine, next_topic: z.int().min(0) });

export const handler = step(input, async (step, request) => {
  const { storage } = await step.restoreConfig();
  const deps = await step.restoreDeps();
  const { turn_ms } = request.run;
  const prepared = await prepareRestore(deps, request, step.workers, turn_ms, step.deadline);
  return { ...prepared, items: itemListIn(storage, prepared.items) };
});
