/** First step of the backup machine: checks its input, takes the lease, plans, packs work items. */
import { z } from "zod";
import { backupRequestOf } from "#core/backup/request.ts";
import { beginBackup } from "#core/backup/steps/begin.ts";
import { backupIdRule, topicPattern } from "#core/config/values.ts";
import { step } from "#functions/runtime.ts";

/** What a person or a schedule starts the machine with: where it differs from the deployment. */
export const backupInput = z.strictObject({
  backup_id: backupIdRule.exactOptional(),
  topics: z
    .strictObject({
      include: z.array(topicPattern).min(1),
      exclude: z.array(topicPattern).default([]),
    })
    .exactOptional(),
  /** Ends each turn of a worker so many milliseconds after it began to read. */
  turn_ms: z.int().min(1).exactOptional(),
});

export const handler = step(backupInput, async (step, { turn_ms, ...wanted }) => {
  const config = await step.config();
  const request = { ...backupRequestOf(config), ...wanted };
  const deps = await step.backupDeps();
  const { items, ...run } = await beginBackup(deps, request, step.workers, step.deadline);
  const { bucket, prefix } = config.storage;
  const key = prefix === "" ? items.key : `${prefix}/${items.key}`;
  return { ...run, turn_ms, items: { bucket, key, count: items.count } };
});
