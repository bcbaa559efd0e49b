/** Where a worker of the backup machine failed as a whole: its partitions have failed, no others. */
import { z } from "zod";
import { workItemRequest } from "#core/backup/steps/contract.ts";
import { recordFailedItem } from "#core/backup/steps/failed-items.ts";
import { step } from "#functions/runtime.ts";

const input = workItemRequest.extend({
  /** As a state machine's Catch tells it. */
  failure: z.object({ Error: z.string(), Cause: z.string().default("") }),
});

export const handler = step(input, async (step, { run, item, failure }) => {
  const told = { error: failure.Error, message: messageOf(failure.Cause) };
  await recordFailedItem(await step.catalogDeps(), { run, item }, told);
  return {};
});

/** Of a function's error, which comes as JSON; any other cause is plain text. */
function messageOf(cause: string): string {
  try {
    const { errorMessage } = JSON.parse(cause);
    return typeof errorMessage === "string" ? errorMessage : cause;
  } catch {
    return cause;
  }
}
