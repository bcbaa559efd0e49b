/**
 * What a run's patterns took, told before it is read: whoever writes `orders*` and restores into
 * `orders-restored` backs up the copy too, and would learn of it at the next restore.
 */
import type { BackupDeps, BackupPlan } from "#core/backup/contract.ts";
import { isTopicGlob, matchesTopic, type TopicPatterns } from "#core/backup/select-topics.ts";
import { newestRestoreIds } from "#core/catalog/stored-ids.ts";
import { isBackupError } from "#core/errors.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import type { Logger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

/** Topics that a line names. */
const topicsNamed = 20;
/** Restores out of the backup that are looked into, the newest: a document or two of each. */
const restoresLookedInto = 20;

type PlannedTopics = Pick<BackupPlan, "backup_id" | "cluster">;

/** A line for each glob of `topics.include`, with the topics that it took, if any. */
export function tellMatches(
  logger: Logger,
  { cluster }: PlannedTopics,
  { include }: TopicPatterns,
): void {
  for (const pattern of include.filter(isTopicGlob)) {
    const taken = cluster.topics.map(({ name }) => name).filter(matchesTopic(pattern));
    if (taken.length === 0) {
      logger.warn(`topics.include "${pattern}" takes no topic`);
      continue;
    }
    const named = taken.slice(0, topicsNamed).join(", ");
    const more = taken.length - topicsNamed;
    logger.info(
      `topics.include "${pattern}" takes ${taken.length}: ${named}${more > 0 ? ` and ${more} more` : ""}`,
    );
  }
}

/**
 * Warns of each topic that a glob took and that a restore out of this backup made under another
 * name. Never stops a run: where restores cannot be read, that is told instead.
 */
export async function warnOfCopies(
  { storage, logger }: Pick<BackupDeps, "storage" | "logger">,
  plan: PlannedTopics,
  { include }: TopicPatterns,
): Promise<void> {
  const unnamed = plan.cluster.topics.filter(({ name }) => !include.includes(name));
  if (unnamed.length === 0) return;
  try {
    const ids = new Map(unnamed.map(({ name, topic_id }) => [name, topic_id]));
    for (const copy of await restoredCopies(storage, plan, ids)) {
      logger.warn(
        `topic ${copy.topic} is what restore ${copy.restore_id} made of ${copy.source_topic}; ` +
          "where it need not be backed up, name it in topics.exclude",
      );
    }
  } catch (error) {
    if (!isBackupError(error)) throw error;
    logger.warn("whether topics are copies that a restore made is not known", { error });
  }
}

interface RestoredCopy {
  readonly topic: string;
  readonly source_topic: string;
  readonly restore_id: string;
}

async function restoredCopies(
  storage: StorageBackend,
  { backup_id, cluster }: PlannedTopics,
  ids: ReadonlyMap<string, string>,
): Promise<RestoredCopy[]> {
  const copies = new Map<string, RestoredCopy>();
  for (const restore_id of await newestRestoreIds(storage, backup_id, restoresLookedInto)) {
    const record = new RestoreRecord(storage, backup_id, restore_id);
    const intent = await record.intent();
    if (intent === undefined || intent.target_cluster_id !== cluster.cluster_id) continue;
    for (const { source_topic, target_topic: topic } of intent.topics) {
      if (source_topic === topic || !ids.has(topic)) continue;
      const target = await record.target(topic);
      if (target?.topic_id !== ids.get(topic)) continue;
      copies.set(topic, { topic, source_topic, restore_id });
    }
  }
  return [...copies.values()];
}
