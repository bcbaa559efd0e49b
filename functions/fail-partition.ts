/** Where a worker of the backup machine failed as a whole: its partitions have failed, no others. */
import { workItemRequest } from "#core/backup/steps/contract.ts";
import { recordFailedItem } from "#core/backup/steps/failed-items.ts";
import { failure } from "#functions/failure.ts";
import { step } from "#functions/runtime.ts";

const input = workItemRequest.extend({ failure });

export const handler = step(input, async (step, { run, item, failure }) => {
  await recordFailedItem(await step.catalogDeps(), { run, item }, failure);
  return {};
});
