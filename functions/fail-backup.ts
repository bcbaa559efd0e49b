/** Where the backup machine fails: lets go of the lease. The run stays open to be continued. */
import { z } from "zod";
import { backupRun } from "#core/backup/steps/contract.ts";
import { releaseRun } from "#core/backup/steps/release.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(z.object({ run: backupRun }), async (step, { run }) => {
  await releaseRun(await step.catalogDeps(), run);
  step.measure(run.backup_id, { RunsFailed: [1, "Count"] });
  return {};
});
