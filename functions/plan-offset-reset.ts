/** Phase 3 of the three-phase-restore machine: where the groups shall stand. Sets nothing. */
import { z } from "zod";
import { threePhaseRun } from "#core/three-phase/steps/contract.ts";
import { type PlannedReset, planRunsReset } from "#core/three-phase/steps/plan-reset.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({
  run: threePhaseRun,
  /** What the restore machine answered; null where the records were there. */
  restored: z.object({ output: z.record(z.string(), z.unknown()) }).nullable(),
});

export const handler = step(input, async (step, { run, restored }) => {
  const planned = await planRunsReset(await step.restoreDeps(), run, step.deadline);
  if (planned.status === "planned") {
    const { storage } = await step.config();
    return { ...planned, notice: noticeOf(planned, storage) };
  }
  if (planned.status === "done") return planned;
  const { backup_id, three_phase_id } = run;
  const result = { status: "incomplete", backup_id, three_phase_id, restore: restored?.output };
  return { status: "incomplete", result };
});

/** Without the token, which is in the bucket alone. */
function noticeOf(
  { run, summary }: Extract<PlannedReset, { status: "planned" }>,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
): string {
  const { backup_id, three_phase_id } = run;
  const { groups, partitions, restored_records, approval } = summary;
  const key = prefix === "" ? approval : `${prefix}/${approval}`;
  return [
    `Three-phase restore ${three_phase_id} of backup "${backup_id}" has restored and verified ` +
      `${restored_records} records. Its plan is to set ${partitions} offsets of ${groups} ` +
      "consumer groups, and waits for an answer.",
    `The question, and the commands that answer it: s3://${bucket}/${key}`,
  ].join("\n\n");
}
