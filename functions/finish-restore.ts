/** Last step of the restore machine: writes the report, lets go of the lease, tells the result. */
import { z } from "zod";
import { int64 } from "#core/json.ts";
import { restoreJudgement, restoreRun } from "#core/restore/steps/contract.ts";
import { finishDistributedRestore } from "#core/restore/steps/finish.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({ run: restoreRun, prepared_at: int64, judgement: restoreJudgement });

export const handler = step(input, async (step, toFinish) => {
  const result = await finishDistributedRestore(await step.catalogDeps(), toFinish, step.deadline);
  const durationMs = Number(result.finished_at - toFinish.run.begun_at);
  step.measure(result.backup_id, {
    RestoresFinished: [result.status === "done" ? 1 : 0, "Count"],
    RecordsInTarget: [Number(result.record_count), "Count"],
    FailedRestoredPartitions: [result.failed.count, "Count"],
    RestoreDuration: [Math.max(0, durationMs), "Milliseconds"],
  });
  return result;
});
