/** Where a plan of the three-phase-restore machine was approved: takes the lease again. */
import { z } from "zod";
import { resumeRun } from "#core/three-phase/steps/approval.ts";
import { plannedRun } from "#core/three-phase/steps/contract.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(z.object({ run: plannedRun }), async (step, { run }) =>
  resumeRun(await step.catalogDeps(), run, step.deadline),
);
