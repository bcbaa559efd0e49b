/** Last step of the backup machine: commits the run, lets go of the lease, tells the result. */
import { z } from "zod";
import { commitBackup } from "#core/backup/steps/commit.ts";
import { backupRun, type DistributedBackupResult, judgement } from "#core/backup/steps/contract.ts";
import { type Measured, step } from "#functions/runtime.ts";

const input = z.object({ run: backupRun, judgement });

export const handler = step(input, async (step, { run, judgement }) => {
  const result = await commitBackup(await step.catalogDeps(), run, judgement, step.deadline);
  step.measure(run.backup_id, measured(result));
  return result;
});

function measured(result: DistributedBackupResult): Record<string, Measured> {
  const { record_count, batch_bytes, stored_bytes, gaps, failed } = result;
  const durationMs = Number(result.finished_at - result.started_at);
  return {
    RunsCommitted: [1, "Count"],
    /** All that Kafka still had is in the backup. */
    GoodRuns: [failed.count === 0 ? 1 : 0, "Count"],
    RecordsCommitted: [record_count, "Count"],
    BatchBytes: [batch_bytes, "Bytes"],
    StoredBytes: [stored_bytes, "Bytes"],
    ...(stored_bytes > 0 && { CompressionRatio: [batch_bytes / stored_bytes, "None"] }),
    RunDuration: [durationMs, "Milliseconds"],
    ...(durationMs > 0 && { Throughput: [(batch_bytes * 1_000) / durationMs, "Bytes/Second"] }),
    Gaps: [gaps.count, "Count"],
    FailedPartitions: [failed.count, "Count"],
  };
}
