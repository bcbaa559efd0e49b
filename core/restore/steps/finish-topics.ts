/** The step after the workers: settings go back where all is verified; what failed is told. */
import { keepingLease } from "#core/catalog/with-lease.ts";
import { throwIfNothingWorked } from "#core/partition-failure.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { finishWholeTopics, verifiedPartitions } from "#core/restore/finish.ts";
import { knownRestore } from "#core/restore/identity.ts";
import {
  type FinishedTopics,
  leaseScopeOf,
  type RestoreJudgement,
  type RestoreRun,
} from "#core/restore/steps/contract.ts";
import type { Deadline } from "#core/runtime.ts";
import { failedRestoreItemsFolder } from "#core/storage/restore-work-keys.ts";
import { excerpt } from "#core/work-items/excerpt.ts";
import { allFailures, failureOf } from "#core/work-items/failures.ts";
import { Turn } from "#core/work-items/turn.ts";

/**
 * One turn: goes on with topic number `next_topic` of the intent until `deadline` comes or the
 * turn is over. The last one throws the reason where nothing worked, as a restore in one process
 * does. Done again it changes nothing more. Throws BackupConflictError when the lease is lost.
 */
export async function finishRestoredTopics(
  deps: RestoreDeps,
  { run, next_topic }: { readonly run: RestoreRun; readonly next_topic: number },
  bootstrapServers: readonly string[],
  turnMs: number,
  deadline: Deadline,
): Promise<FinishedTopics> {
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, async (deadline) => {
    const turn = new Turn(deps.clock, turnMs, deadline);
    turn.hasMoved(); // It will: the first few topics are always done.
    const { record, intent } = await knownRestore(deps.storage, run.backup_id, run.restore_id);
    const plans = intent.topics.slice(next_topic);
    const resultsOf = (plan: (typeof plans)[number]) => verifiedPartitions(record, plan);
    const finished = await finishWholeTopics(
      { deps, record, resultsOf, bootstrapServers },
      plans,
      turn,
    );
    deadline.signal.throwIfAborted();
    const next = next_topic + finished.length;
    if (next < intent.topics.length) {
      return { status: "continue", next_topic: next, judgement: { failed: excerpt([]) } };
    }
    const judgement = await judge(deps, run);
    return { status: "done", next_topic: next, judgement };
  });
}

async function judge({ storage }: RestoreDeps, run: RestoreRun): Promise<RestoreJudgement> {
  const failed = await allFailures(storage, failedRestoreItemsFolder(run));
  throwIfNothingWorked(failed.map(failureOf), run.partitions);
  return { failed: excerpt(failed) };
}
