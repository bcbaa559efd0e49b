/** Where a plan of the three-phase-restore machine was not approved: closes it, touches no group. */
import { z } from "zod";
import { rejectReset } from "#core/three-phase/steps/approval.ts";
import { plannedRun } from "#core/three-phase/steps/contract.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({
  run: plannedRun,
  /** What somebody sent, of whatever form; or the error that nobody did. */
  answer: z.unknown(),
});

const rejection = z.object({
  decision: z.literal("reject"),
  by: z.string().max(200).default("somebody"),
  reason: z.string().max(1_000).exactOptional(),
});
const expiry = z.object({ Error: z.literal("States.Timeout") });

export const handler = step(input, async (step, { run, answer }) => {
  const deps = await step.catalogDeps();
  if (expiry.safeParse(answer).success) {
    return rejectReset(deps, run, "approval_expired", "nobody answered in time");
  }
  return rejectReset(deps, run, "rejected", reasonOf(answer));
});

function reasonOf(answer: unknown): string {
  const { success, data } = rejection.safeParse(answer);
  if (!success) return 'the answer was neither {"decision":"approve"} nor {"decision":"reject"}';
  const why = data.reason === undefined ? "" : `: ${data.reason}`;
  return `rejected by ${data.by}${why}`;
}
