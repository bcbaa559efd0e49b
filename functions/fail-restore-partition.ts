/** Where a worker of the restore machine failed as a whole: its partitions have failed, no others. */
import { restoreItemRequest } from "#core/restore/steps/contract.ts";
import { recordFailedRestoreItem } from "#core/restore/steps/failed-item.ts";
import { failure } from "#functions/failure.ts";
import { step } from "#functions/runtime.ts";

const input = restoreItemRequest.extend({ failure });

export const handler = step(input, async (step, { run, item, failure }) => {
  await recordFailedRestoreItem(await step.catalogDeps(), { run, item }, failure);
  return {};
});
