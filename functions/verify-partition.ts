/** The other worker of the restore machine: one turn at reading back what a work item restored. */
import { restoreRunOfMachine, verifyItemRequest } from "#core/restore/steps/contract.ts";
import { verifyWorkItem } from "#core/restore/steps/work-item.ts";
import { circuitOpenRestoreKey } from "#core/storage/restore-work-keys.ts";
import { step, throttleMetric } from "#functions/runtime.ts";

const input = verifyItemRequest.extend({ run: restoreRunOfMachine });

export const handler = step(input, (step, request) =>
  step.workerTurn(circuitOpenRestoreKey(request.run), async (deadline) => {
    const deps = await step.restoreDeps();
    const throttledBeforeMs = deps.cluster.throttledMs();
    const outcome = await verifyWorkItem(deps, request, request.run.turn_ms, deadline);
    step.measure(request.run.backup_id, {
      RecordsVerified: [outcome.records, "Count"],
      BytesVerified: [outcome.bytes, "Bytes"],
      ...throttleMetric(deps.cluster, throttledBeforeMs),
    });
    return outcome;
  }),
);
