/** First step of the three-phase-restore machine: checks its input, or answers a dry run. */

import { threePhaseDryRunInShort } from "#core/three-phase/steps/dry-run.ts";
import { askedThreePhase, backupInputOf, threePhaseInput } from "#core/three-phase/steps/input.ts";
import { isBackupNeeded } from "#core/three-phase/steps/prepare.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(threePhaseInput, async (step, input) => {
  const asked = askedThreePhase(input, await step.restoreConfig(), await step.config());
  const { request, isDryRun } = asked;
  const deps = await step.threePhaseDeps(request);
  if (isDryRun) {
    const answer = await threePhaseDryRunInShort(deps, request, input.new, step.deadline);
    return { status: "answered", answer };
  }
  const options = { start_new: input.new, resume: input.resume };
  if (!(await isBackupNeeded(deps, request, options))) return { status: "checked", input };
  return { status: "backup_first", input, backup: backupInputOf(input, request) };
});
