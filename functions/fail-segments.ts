/** Where a worker of the validate machine failed as a whole: its segments are unchecked. */
import { segmentsRequest } from "#core/validate/steps/contract.ts";
import { giveUpWorkItem } from "#core/validate/steps/work-item.ts";
import { failure } from "#functions/failure.ts";
import { step } from "#functions/runtime.ts";

const input = segmentsRequest.extend({ failure });

export const handler = step(input, async (step, { validation, item, failure }) => {
  await giveUpWorkItem(await step.catalogDeps(), { validation, item }, failure);
  return {};
});
