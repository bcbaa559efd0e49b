/** Phase 3 of the three-phase-restore machine: where the groups shall stand. Sets nothing. */
import { z } from "zod";
import { threePhaseRun } from "#core/three-phase/steps/contract.ts";
import { planRunsReset } from "#core/three-phase/steps/plan-reset.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({
  run: threePhaseRun,
  /** What the restore machine answered; null where the records were there. */
  restored: z.object({ output: z.record(z.string(), z.unknown()) }).nullable(),
});

export const handler = step(input, async (step, { run, restored }) => {
  const planned = await planRunsReset(await step.restoreDeps(), run, step.deadline);
  if (planned.status !== "incomplete") return planned;
  const { backup_id, three_phase_id } = run;
  const result = { status: "incomplete", backup_id, three_phase_id, restore: restored?.output };
  return { status: "incomplete", result };
});
