/** The worker of the validate machine: one turn at the segments of one work item. */
import { segmentsRequest, validationOfMachine } from "#core/validate/steps/contract.ts";
import { validateWorkItem } from "#core/validate/steps/work-item.ts";
import { step } from "#functions/runtime.ts";

const input = segmentsRequest.extend({ validation: validationOfMachine });

export const handler = step(input, async (step, { validation, item }) => {
  const deps = await step.catalogDeps();
  const request = { validation, item };
  const turn = await validateWorkItem(deps, request, validation.turn_ms, step.deadline);
  step.measure(validation.backup_id, {
    RecordsValidated: [turn.records, "Count"],
    BytesValidated: [turn.bytes, "Bytes"],
  });
  return turn;
});
