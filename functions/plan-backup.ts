/** First step of the backup machine: checks its input, takes the lease, plans, packs work items. */
import { z } from "zod";
import type { BackupRequest } from "#core/backup/contract.ts";
import { backupRequestOf } from "#core/backup/request.ts";
import { beginBackup } from "#core/backup/steps/begin.ts";
import { backupIdRule, topicPattern } from "#core/config/values.ts";
import { type BackupError, isBackupError } from "#core/errors.ts";
import { itemListIn } from "#functions/item-list.ts";
import { type Step, step } from "#functions/runtime.ts";

/** What a person or a schedule starts the machine with: where it differs from the deployment. */
export const backupInput = z.strictObject({
  backup_id: backupIdRule.exactOptional(),
  topics: z
    .strictObject({
      include: z.array(topicPattern).min(1),
      exclude: z.array(topicPattern).default([]),
    })
    .exactOptional(),
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
  const beginning = beginBackup(deps, request, workers, deadline, range_min_offsets);
  const { items, ...run } = await beginning.catch((error: unknown) => {
    if (isBackupError(error, "BackupConflictError")) measureConflict(step, request, error);
    throw error;
  });
  return { ...run, turn_ms, items: itemListIn(config.storage, items) };
});

/** Runs that are refused now and then are no harm; that one run holds the lease for long may be. */
function measureConflict(step: Step, { backup_id }: BackupRequest, { details }: BackupError): void {
  const heldForMs = Date.now() - Number(details.acquired_at);
  step.measure(backup_id, {
    LeaseConflicts: [1, "Count"],
    ...(heldForMs >= 0 && { LeaseHeldFor: [heldForMs / 1_000, "Seconds"] }),
  });
}
