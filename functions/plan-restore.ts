/** First step of the restore machine: checks its input, takes the lease, plans. */
import { z } from "zod";
import { configuredWith, restoreChoices, restoreSubject } from "#core/config/restore-input.ts";
import { restoreRequestOf, restoreSettingsOf } from "#core/restore/request.ts";
import { beginDistributedRestore } from "#core/restore/steps/begin.ts";
import { leaseHolder } from "#core/restore/steps/contract.ts";
import { dryRunInShort } from "#core/restore/steps/dry-run.ts";
import { step } from "#functions/runtime.ts";

/** What a person starts the machine with: where it differs from the deployment. */
export const restoreInput = z.strictObject({
  ...restoreSubject,
  ...restoreChoices,
  /** Of the manifest to restore from; the newest unless given. */
  generation: z.int().min(1).exactOptional(),
  /** Another restore, where the same was restored before. */
  new: z.boolean().default(false),
  /** Ends each turn of a worker so many milliseconds after it began. */
  turn_ms: z.int().min(1).exactOptional(),
  /** For a state machine that starts this one under a lease of its own, and keeps it. */
  held: z.strictObject({ lease: leaseHolder }).exactOptional(),
});

export const handler = step(restoreInput, async (step, input) => {
  const { generation, new: start_new, turn_ms, held, ...wanted } = input;
  const config = configuredWith(await step.restoreConfig(), wanted);
  const request = { ...restoreRequestOf(config), ...(generation !== undefined && { generation }) };
  const deps = await step.restoreDeps();
  if (config.restore.dry_run) {
    return { status: "answered", answer: await dryRunInShort(deps, request, start_new) };
  }
  const settings = restoreSettingsOf(config);
  const { workers } = step;
  const options = { start_new, settings, workers, ...(held !== undefined && { lent: held.lease }) };
  const begun = await beginDistributedRestore(deps, request, options, step.deadline);
  if (begun.status === "already_done") return { status: "answered", answer: begun.result };
  return { status: "begun", run: { ...begun.run, turn_ms } };
});
