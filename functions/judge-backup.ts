/** After the workers of the backup machine: what failed, and whether the rest is worth a commit. */
import { z } from "zod";
import { backupRun } from "#core/backup/steps/contract.ts";
import { judgeBackup } from "#core/backup/steps/judge.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(z.object({ run: backupRun }), async (step, { run }) =>
  judgeBackup(await step.catalogDeps(), run, step.deadline),
);
