/** Last step of the validate machine: stores the report, and tells what it comes to. */
import { z } from "zod";
import { concludeValidation } from "#core/validate/steps/conclude.ts";
import { validation } from "#core/validate/steps/contract.ts";
import { step } from "#functions/runtime.ts";

export const handler = step(z.object({ validation }), async (step, { validation }) => {
  const result = await concludeValidation(await step.catalogDeps(), validation, step.deadline);
  step.measure(validation.backup_id, {
    ValidationFindings: [result.counts.error, "Count"],
    ValidationWarnings: [result.counts.warning, "Count"],
    SegmentsChecked: [result.checked.segments - result.unchecked.count, "Count"],
    SegmentsUnchecked: [result.unchecked.count, "Count"],
    ValidationDuration: [Number(result.finished_at - result.started_at), "Milliseconds"],
  });
  return result;
});
