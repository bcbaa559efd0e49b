/** Last step of the offset-rollback machine: puts the groups back, and reads them back. */
import { z } from "zod";
import { finishRollback, throwIfNotRolledBack } from "#core/offsets/rollback.ts";
import { excerpt } from "#core/work-items/excerpt.ts";
import { step } from "#functions/runtime.ts";

/** As snapshot-offsets answers it. */
const input = z.object({
  begun: z.object({
    safety_snapshot_id: z.string(),
    cluster_id: z.string(),
    request: z.object({
      snapshot_id: z.string(),
      groups: z.array(z.string()).exactOptional(),
      clamp: z.boolean(),
      verify: z.boolean(),
    }),
  }),
});

export const handler = step(input, async (step, { begun }) => {
  const { request, safety_snapshot_id, cluster_id } = begun;
  const deps = await step.depsOf(cluster_id);
  const asked = { ...request, safety_snapshot_id };
  const result = await finishRollback(deps, asked, step.deadline);
  throwIfNotRolledBack(result);
  const { outcomes, warnings, ...told } = result;
  const groups = outcomes.map(({ group, committed, deleted }) => ({ group, committed, deleted }));
  return { ...told, groups: excerpt(groups), warnings: excerpt(warnings) };
});
