/**
 * Phase 1 of the three-phase-restore machine: takes the lease, continues one or begins one, and
 * keeps where the groups stand.
 */
import { z } from "zod";
import { int64 } from "#core/json.ts";
import { refuseFailed } from "#core/three-phase/first-backup.ts";
import { askedThreePhase, restoreInputOf, threePhaseInput } from "#core/three-phase/steps/input.ts";
import { prepareRun } from "#core/three-phase/steps/prepare.ts";
import { step } from "#functions/runtime.ts";

const input = z.object({
  input: threePhaseInput,
  /** As the backup machine answers; null where none was wanted, or one goes on. */
  backup: z
    .object({
      run_id: z.string(),
      generation: z.int(),
      record_count: z.int(),
      failed: z.object({
        count: z.int(),
        first: z.array(
          z.object({
            topic: z.string(),
            partition: z.int(),
            error: z.string(),
            message: z.string(),
          }),
        ),
      }),
      started_at: int64,
      finished_at: int64,
    })
    .nullable(),
});

export const handler = step(input, async (step, { input, backup }) => {
  const { request } = askedThreePhase(input, await step.restoreConfig(), await step.config());
  const before = backup === null ? undefined : beforeOf(backup);
  const deps = await step.threePhaseDeps(request);
  const options = { start_new: input.new, resume: input.resume };
  const prepared = await prepareRun(deps, request, options, before, step.deadline);
  if (prepared.status === "already_done") return prepared;
  const { run, start_new, is_restore_needed } = prepared;
  const { approval: is_approval_needed, approval_timeout_secs } = input;
  return {
    status: "prepared",
    run,
    ...{ is_restore_needed, is_approval_needed, approval_timeout_secs },
    restore_input: restoreInputOf(input, { lease: run.lease, start_new }),
  };
});

function beforeOf({ failed, started_at, finished_at, ...backup }: Backup) {
  refuseFailed(failed);
  return { backup, durationMs: Number(finished_at - started_at) };
}

type Backup = NonNullable<z.output<typeof input>["backup"]>;
