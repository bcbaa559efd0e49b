/** First step of the backup machine: checks its input, takes the lease, plans, packs work items. */
import { z } from "zod";
import { backupRequestOf } from "#core/backup/request.ts";
import { beginBackup } from "#core/backup/steps/begin.ts";
import { backupIdRule, chosenTopics } from "#core/config/values.ts";
import { itemListIn } from "#functions/item-list.ts";
import { step } from "#functions/runtime.ts";

/** What a person or a schedule starts the machine with: where it differs from the deployment. */
export const backupInput = z.strictObject({
  backup_id: backupIdRule.exactOptional(),
  topics: chosenTopics.exactOptional(),
  /** `skip`: where another run of the backup is under way, the execution ends well without one. */
  if_running: z.literal("skip").exactOptional(),
  /** Ends each turn of a worker so many milliseconds after it began to read. */
  turn_ms: z.int().min(1).exactOptional(),
  /** Ranges of a large partition, which several workers read, have at least so many offsets. */
  range_min_offsets: z.int().min(1).exactOptional(),
});

export const handler = step(backupInput, async (step, input) => {
  const { turn_ms, range_min_offsets, if_running: _ofTheMachine, ...wanted } = input;
  const config = await step.config();
  const request = { ...backupRequestOf(config), ...wanted };
  const deps = await step.backupDeps();
  const { workers, deadline } = step;
  const begun = await beginBackup(deps, request, workers, deadline, range_min_offsets);
  const { items, ...run } = begun;
  return { ...run, turn_ms, items: itemListIn(config.storage, items) };
});
