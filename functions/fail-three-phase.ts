/** Where the three-phase-restore machine fails: lets go of the lease, and tells why it failed. */
import { z } from "zod";
import { threePhaseRun } from "#core/three-phase/steps/contract.ts";
import { releaseThreePhase } from "#core/three-phase/steps/run.ts";
import { failure } from "#functions/failure.ts";
import { step } from "#functions/runtime.ts";

/** Without a run where the backup before it failed. */
const input = z.object({ run: threePhaseRun.nullable(), failure });

export const handler = step(input, async (step, { run, failure }) => {
  if (run !== null) await releaseThreePhase(await step.catalogDeps(), run);
  return failure;
});
