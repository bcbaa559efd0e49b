/**
 * Where a plan of the three-phase-restore machine is to be approved: writes down what is asked and
 * how to answer. The machine goes on when somebody sends the answer.
 */
import { z } from "zod";
import { askApproval } from "#core/three-phase/steps/approval.ts";
import { plannedRun } from "#core/three-phase/steps/contract.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({
  run: plannedRun,
  execution_arn: z.string(),
  task_token: z.string(),
  timeout_secs: z.int(),
});

export const handler = step(input, async (step, { run, ...question }) => {
  const { expires_at } = await askApproval(await step.catalogDeps(), run, question);
  return { expires_at };
});
