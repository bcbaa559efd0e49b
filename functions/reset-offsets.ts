/** Phase 3 of the three-phase-restore machine: sets offsets as planned, reads back, reports. */
import { z } from "zod";
import { plannedRun } from "#core/three-phase/steps/contract.ts";
import { resetRun } from "#core/three-phase/steps/reset.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(z.object({ run: plannedRun }), async (step, { run }) => {
  const result = await resetRun(await step.restoreDeps(), run, step.deadline);
  step.measure(run.backup_id, { GroupsReset: [result.groups.count, "Count"] });
  return { status: "done", result };
});
