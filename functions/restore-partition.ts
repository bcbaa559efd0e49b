/** The worker of the restore machine: one turn at sending the partitions of one work item. */
import { restoreItemRequest, restoreRunOfMachine } from "#core/restore/steps/contract.ts";
import { restoreWorkItem } from "#core/restore/steps/work-item.ts";
import { circuitOpenRestoreKey } from "#core/storage/restore-work-keys.ts";
import { step, throttleMetric } from "#functions/runtime.ts";

const input = restoreItemRequest.extend({ run: restoreRunOfMachine });

export const handler = step(input, (step, request) =>
  step.workerTurn(circuitOpenRestoreKey(request.run), async (deadline) => {
    const deps = await step.restoreDeps();
    const throttledBeforeMs = deps.cluster.throttledMs();
    const outcome = await restoreWorkItem(deps, request, request.run.turn_ms, deadline);
    step.measure(request.run.backup_id, {
      RecordsRestored: [outcome.records, "Count"],
      BytesRestored: [outcome.bytes, "Bytes"],
      ...throttleMetric(deps.cluster, throttledBeforeMs),
    });
    return outcome;
  }),
);
