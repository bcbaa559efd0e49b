/** Last step of the backup machine: commits the run, lets go of the lease, tells the result. */
import { z } from "zod";
import { commitBackup } from "#core/backup/steps/commit.ts";
import { backupRun, judgement } from "#core/backup/steps/contract.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({ run: backupRun, judgement });

export const handler = step(input, async (step, { run, judgement }) => {
  const result = await commitBackup(await step.catalogDeps(), run, judgement, step.deadline);
  step.measure(run.backup_id, {
    RunsCommitted: [1, "Count"],
    RecordsCommitted: [result.record_count, "Count"],
    StoredBytes: [result.stored_bytes, "Bytes"],
    Gaps: [result.gaps.count, "Count"],
    FailedPartitions: [result.failed.count, "Count"],
    RunDuration: [Number(result.finished_at - result.started_at), "Milliseconds"],
  });
  return result;
});
