/** The worker of the backup machine: one turn at the partitions of one work item. */
import { z } from "zod";
import { backupRun, workItemRequest } from "#core/backup/steps/contract.ts";
import { backupWorkItem } from "#core/backup/steps/work-item.ts";
import { circuitOpenKey } from "#core/storage/work-keys.ts";
import { step, throttleMetric } from "#functions/runtime.ts";

const input = workItemRequest.extend({
  run: backupRun.extend({ turn_ms: z.int().min(1).default(Number.MAX_SAFE_INTEGER) }),
});

export const handler = step(input, (step, { run, item }) =>
  step.workerTurn(circuitOpenKey(run), async (deadline) => {
    const deps = await step.backupDeps();
    const throttledBeforeMs = deps.cluster.throttledMs();
    const outcome = await backupWorkItem(deps, { run, item }, run.turn_ms, deadline);
    step.measure(run.backup_id, {
      RecordsArchived: [outcome.records, "Count"],
      BytesArchived: [outcome.bytes, "Bytes"],
      ...throttleMetric(deps.cluster, throttledBeforeMs),
    });
    return outcome;
  }),
);
