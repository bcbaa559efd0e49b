/** Where the restore machine fails: lets go of the lease. The restore stays to be continued. */
import { z } from "zod";
import { restoreRun } from "#core/restore/steps/contract.ts";
import { releaseRestore } from "#core/restore/steps/release.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(z.object({ run: restoreRun }), async (step, { run }) => {
  await releaseRestore(await step.catalogDeps(), run);
  step.measure(run.backup_id, { RestoresFailed: [1, "Count"] });
  return {};
});
