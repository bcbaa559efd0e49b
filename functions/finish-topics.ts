/** After the workers of the restore machine: one turn at putting settings back, and what failed. */
import { z } from "zod";
import { restoreRunOfMachine } from "#core/restore/steps/contract.ts";
import { finishRestoredTopics } from "#core/restore/steps/finish-topics.ts";
import { circuitOpenRestoreKey } from "#core/storage/restore-work-keys.ts";
import { throwIfCircuitOpen } from "#core/work-items/circuit.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({ run: restoreRunOfMachine, next_topic: z.int().min(0) });

export const handler = step(input, async (step, request) => {
  const { storage } = await step.catalogDeps();
  // The workers have waited for the target already, and what is missing in it was not even tried.
  await throwIfCircuitOpen(storage, circuitOpenRestoreKey(request.run));
  const { target } = await step.restoreConfig();
  const deps = await step.restoreDeps();
  const { bootstrap_servers } = target;
  const { turn_ms } = request.run;
  return finishRestoredTopics(deps, request, bootstrap_servers, turn_ms, step.deadline);
});
