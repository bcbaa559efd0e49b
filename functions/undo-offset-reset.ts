/** Where phase 3 of the three-phase-restore machine fails: puts the groups back. */
import { z } from "zod";
import { plannedRun, threePhaseRun } from "#core/three-phase/steps/contract.ts";
import { rollBackRun } from "#core/three-phase/steps/reset.ts";
import { failure } from "#functions/failure.ts";
import { step } from "#functions/runtime.ts";

/** Without an attempt where its plan failed. */
const input = z.object({ run: plannedRun.or(threePhaseRun), failure });

export const handler = step(input, async (step, { run, failure }) => {
  const outcome = await rollBackRun(await step.restoreDeps(), run, failure, step.deadline);
  if (outcome.status === "rolled_back") step.measure(run.backup_id, { ResetsFailed: [1, "Count"] });
  return outcome;
});
