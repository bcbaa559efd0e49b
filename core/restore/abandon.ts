/** Gives up an unfinished restore: settings go back, what was restored stays where it is. */
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { knownRestore } from "#core/restore/identity.ts";
import { summaryOfAbandoned } from "#core/restore/restore-summary.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { releaseTopic } from "#core/restore/topics.ts";
import type { Deadline } from "#core/runtime.ts";

export interface AbandonedTopic {
  readonly topic: string;
  /** False where there was nothing to put back: untouched, finished, or no longer the same topic. */
  readonly settings_put_back: boolean;
}

export interface AbandonResult {
  readonly backup_id: string;
  readonly restore_id: string;
  readonly topics: readonly AbandonedTopic[];
}

/**
 * Idempotent. Throws BackupNotFoundError, InvalidRequestError for a finished restore or one into
 * another cluster, BackupConflictError while the restore runs.
 */
export async function abandonRestore(
  deps: RestoreDeps,
  at: { readonly backup_id: string; readonly restore_id: string },
  deadline: Deadline,
): Promise<AbandonResult> {
  const scope = restoreScope(at.backup_id, deps.cluster.clusterId);
  return withLease(deps, scope, deadline, async () => {
    const { record, intent } = await knownRestore(deps.storage, at.backup_id, at.restore_id);
    if (intent.target_cluster_id !== deps.cluster.clusterId) {
      throw new BackupError(
        "InvalidRequestError",
        `restore ${at.restore_id} is into cluster ${intent.target_cluster_id}, but target is ` +
          `cluster ${deps.cluster.clusterId}`,
        { hint: "Correct target.bootstrap_servers." },
      );
    }
    if ((await record.report()) !== undefined) {
      throw new BackupError(
        "InvalidRequestError",
        `restore ${at.restore_id} is finished: there is nothing to give up`,
        { hint: "To restore once more, pass --new." },
      );
    }
    const isAbandoned = (await record.abandoned()) !== undefined;
    const topics: AbandonedTopic[] = [];
    for (const plan of intent.topics) {
      // Another restore may have its own settings on the topic by now.
      const settings_put_back = !isAbandoned && (await releaseTopic(deps, record, plan));
      topics.push({ topic: plan.target_topic, settings_put_back });
    }
    if (!isAbandoned) {
      const abandoned_at = BigInt(deps.clock.nowMs());
      await record.writeAbandoned({ abandoned_at });
      await deps.catalog.noteRestore(at.backup_id, summaryOfAbandoned(intent, abandoned_at));
    }
    return { ...at, topics };
  });
}
