/** Where the three-phase-restore machine fails: lets go of the lease, and tells why it failed. */
import { z } from "zod";
import { threePhaseRun } from "#core/three-phase/steps/contract.ts";
import { notUndone } from "#core/three-phase/steps/reset.ts";
import { releaseThreePhase } from "#core/three-phase/steps/run.ts";
import { failure } from "#functions/failure.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({
  /** Null where the backup before it failed. */
  run: threePhaseRun.nullable(),
  failure,
  /** Where the reset failed, and then what should have put the groups back. */
  undoing: failure.exactOptional(),
});

export const handler = step(input, async (step, { run, failure, undoing }) => {
  if (run !== null) await releaseThreePhase(await step.catalogDeps(), run);
  return undoing === undefined ? failure : notUndone(failure, undoing);
});
