/**
 * Which restore a command means. A restore has an identity: the same command again continues an
 * unfinished one, and for a finished one whose target is still what it was says so. Call these
 * with the lease of restores into the target cluster held.
 */
import pLimit from "p-limit";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import { planRestore, type RestorePlan } from "#core/restore/plan.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import { type RestoreRequest, requestSha256 } from "#core/restore/request.ts";
import { RestoreRecord, restoresOf } from "#core/restore/restore-record.ts";

/** Requests under way at once, to the store or to the cluster. */
const concurrentRequests = 16;

type Reading = Pick<RestoreDeps, "storage" | "catalog"> & {
  readonly cluster: Pick<Cluster, "clusterId">;
};

export type MeantRestore =
  | { readonly status: "continued"; readonly intent: RestoreIntent }
  | {
      readonly status: "already_done";
      readonly report: RestoreReport;
      readonly plan: RestorePlan;
    }
  | { readonly status: "new"; readonly plan: RestorePlan };

/**
 * What the request means: the restore that it began once, the one that it finished, or a new one.
 * Throws what `planRestore` throws, and BackupConflictError where another restore into one of the
 * target topics is not finished. `startNew`: always a new one.
 */
export async function meantRestore(
  deps: RestoreDeps,
  request: RestoreRequest,
  startNew: boolean,
): Promise<MeantRestore> {
  const { backup_id } = request;
  const sha256 = requestSha256(request);
  const unfinished = startNew ? undefined : await restoreToContinue(deps, backup_id, sha256);
  if (unfinished !== undefined) return { status: "continued", intent: unfinished };
  const plan = await planRestore(deps, request);
  const targets = plan.topics.map(({ target_topic }) => target_topic);
  await refuseConflicts(deps, targets);
  const { generation } = plan.stored.manifest;
  const report = startNew ? undefined : await finishedRestore(deps, backup_id, sha256, generation);
  return report === undefined ? { status: "new", plan } : { status: "already_done", report, plan };
}

/** A restore's intent, unless it is finished or given up. */
async function unfinishedIntent(record: RestoreRecord): Promise<RestoreIntent | undefined> {
  const [report, abandoned] = await Promise.all([record.report(), record.abandoned()]);
  return report === undefined && abandoned === undefined ? record.intent() : undefined;
}

/** Unfinished restores out of one backup into the target cluster. */
async function unfinishedRestores(
  { storage, cluster }: Pick<Reading, "storage" | "cluster">,
  backupId: string,
): Promise<RestoreIntent[]> {
  const limit = pLimit(concurrentRequests);
  const records = await restoresOf(storage, backupId);
  const intents = await Promise.all(records.map((record) => limit(unfinishedIntent, record)));
  return intents.filter(
    (intent): intent is RestoreIntent => intent?.target_cluster_id === cluster.clusterId,
  );
}

/** The unfinished restore that the same request began into the same cluster. */
export async function restoreToContinue(
  deps: Reading,
  backupId: string,
  requestSha256: string,
): Promise<RestoreIntent | undefined> {
  const intents = await unfinishedRestores(deps, backupId);
  return intents.find((intent) => intent.request_sha256 === requestSha256);
}

/**
 * One unfinished restore per target cluster and topic, whatever backup of this storage it is out
 * of: a second one would take the first one's settings for the topic's own. Throws
 * BackupConflictError with the restore's id.
 */
export async function refuseConflicts(
  deps: Reading,
  targetTopics: readonly string[],
): Promise<void> {
  const wanted = new Set(targetTopics);
  for await (const backupId of deps.catalog.listBackups()) {
    for (const intent of await unfinishedRestores(deps, backupId)) {
      const topic = intent.topics.find(({ target_topic }) => wanted.has(target_topic));
      if (topic === undefined) continue;
      throw new BackupError(
        "BackupConflictError",
        `restore ${intent.restore_id} of backup "${backupId}" into topic ` +
          `"${topic.target_topic}" is not finished`,
        {
          hint:
            "Repeat its command to continue it, or give it up and put its topics' settings " +
            `back with --abandon ${intent.restore_id}.`,
          details: { restore_id: intent.restore_id },
        },
      );
    }
  }
}

/**
 * The report of the newest finished restore of the same request and manifest whose target topics
 * still are and end where it left them.
 */
export async function finishedRestore(
  { storage, cluster }: Pick<RestoreDeps, "storage" | "cluster">,
  backupId: string,
  requestSha256: string,
  generation: number,
): Promise<RestoreReport | undefined> {
  const records = await restoresOf(storage, backupId);
  for (const record of records.reverse()) {
    const report = await record.report();
    const isSame =
      report !== undefined &&
      report.request_sha256 === requestSha256 &&
      report.manifest.generation === generation &&
      report.target_cluster_id === cluster.clusterId;
    if (isSame && (await isUntouched(cluster, report))) return report;
  }
  return undefined;
}

async function isUntouched(cluster: Cluster, { topics }: RestoreReport): Promise<boolean> {
  const found = await cluster.describeTopics(topics.map(({ target_topic }) => target_topic));
  const ids = new Map(found.map(({ name, topicId }) => [name, topicId]));
  if (topics.some((topic) => ids.get(topic.target_topic) !== topic.target_topic_id)) return false;
  const limit = pLimit(concurrentRequests);
  const results = topics.flatMap(({ partitions }) => partitions);
  const isAtEnd = await Promise.all(
    results.map(({ target_topic: topic, target_partition: partition, end_offset }) =>
      limit(async () => {
        const end = await cluster.logEndOffset({ topic, partition });
        return end.endOffset === end_offset;
      }),
    ),
  );
  return isAtEnd.every(Boolean);
}

/** The record of a restore that must be there. Throws BackupNotFoundError. */
export async function knownRestore(
  storage: RestoreDeps["storage"],
  backupId: string,
  restoreId: string,
): Promise<{ record: RestoreRecord; intent: RestoreIntent }> {
  const record = new RestoreRecord(storage, backupId, restoreId);
  const intent = await record.intent();
  if (intent !== undefined) return { record, intent };
  const message = `backup "${backupId}" has no restore ${restoreId}`;
  throw new BackupError("BackupNotFoundError", message, {
    hint: "The restore's id is in its output, and a folder's name under restores/ of the backup.",
  });
}
