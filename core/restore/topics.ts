/**
 * Target topics before and after their partitions are restored: made where they are missing,
 * their settings changed while the restore writes, and put back when all of it is verified. What
 * was there is written down before it is changed, so that any later attempt can put it back (R5).
 */
import { BackupError } from "#core/errors.ts";
import type { SettingChange, TopicDescription } from "#core/kafka/cluster.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type {
  KeptSetting,
  PartitionResult,
  RestoredTopic,
  RestoreTarget,
  TopicPlan,
} from "#core/restore/documents.ts";
import type { RestoreRecord } from "#core/restore/restore-record.ts";
import { keptRetention } from "#core/restore/retention.ts";
import { topicSettingsByName } from "#core/restore/target.ts";
import { changedSettings, settingsBefore } from "#core/restore/topic-settings.ts";
import type { Deadline } from "#core/runtime.ts";

/** Topics that are asked about, made or changed at the same time. */
const concurrentTopics = 8;

/**
 * Does `work` for the topics in their order, a few at a time, until the deadline: what it gave for
 * those that it was done for. For the first few it is always done.
 */
export async function topicByTopic<Done>(
  plans: readonly TopicPlan[],
  deadline: Deadline,
  work: (plan: TopicPlan) => Promise<Done>,
): Promise<Done[]> {
  const done: Done[] = [];
  for (let at = 0; at < plans.length; at += concurrentTopics) {
    if (at > 0 && deadline.passed()) break;
    const settled = await Promise.allSettled(plans.slice(at, at + concurrentTopics).map(work));
    // Thrown when all have ended: nothing goes on behind the caller's back.
    for (const one of settled) {
      if (one.status === "rejected") throw one.reason;
      done.push(one.value);
    }
  }
  return done;
}

/** `prepareTopic` for the topics in their order, until the deadline. */
export function prepareTopics(
  deps: RestoreDeps,
  record: RestoreRecord,
  plans: readonly TopicPlan[],
  deadline: Deadline,
): Promise<RestoreTarget[]> {
  return topicByTopic(plans, deadline, (plan) => prepareTopic(deps, record, plan));
}

/** The target of a topic that was prepared. Throws TopicChangedError where none was. */
export async function knownTarget(record: RestoreRecord, plan: TopicPlan): Promise<RestoreTarget> {
  const target = await record.target(plan.target_topic);
  if (target === undefined) throw topicChanged(record, plan.target_topic);
  return target;
}

/**
 * Makes the target topic ready for the first produce, whatever an earlier attempt did of it.
 * Throws TopicChangedError where it is not the topic that the restore was planned for, and
 * TargetNotEmptyError where somebody else made it since and wrote to it.
 */
export async function prepareTopic(
  deps: RestoreDeps,
  record: RestoreRecord,
  plan: TopicPlan,
): Promise<RestoreTarget> {
  const target = (await record.target(plan.target_topic)) ?? (await claim(deps, record, plan));
  await requireSame(deps, record, target);
  if ((await record.restoredTopic(target.topic)) !== undefined) return target;
  const changes = changedSettings(plan, target).map(([name, during]) => ({ name, set: during }));
  if (changes.length > 0) await deps.cluster.alterTopicSettings(target.topic, changes);
  return target;
}

/** Finds or makes the topic, and writes down what it was like. */
async function claim(
  { cluster }: RestoreDeps,
  record: RestoreRecord,
  plan: TopicPlan,
): Promise<RestoreTarget> {
  const topic = plan.target_topic;
  let [description] = await cluster.describeTopics([topic]);
  if (plan.target_topic_id !== null && description?.topicId !== plan.target_topic_id) {
    throw topicChanged(record, topic);
  }
  if (plan.target_topic_id === null && description !== undefined) {
    await requireUnused(cluster, plan, description);
  }
  if (description === undefined) {
    await cluster.createTopics([
      {
        topic,
        partitionCount: plan.partition_count,
        replicationFactor: plan.replication_factor,
        config: plan.config,
      },
    ]);
    [description] = await cluster.describeTopics([topic]);
    if (description === undefined) throw topicChanged(record, topic);
  }
  const settings = await topicSettingsByName(cluster, topic);
  const target: RestoreTarget = {
    topic,
    topic_id: description.topicId,
    created: plan.target_topic_id === null,
    settings_before: settingsBefore(Object.keys(plan.settings_during), settings),
  };
  return record.writeTarget(target);
}

/** A topic that was missing at the plan: an attempt that died may have made it, or anybody else. */
async function requireUnused(
  cluster: RestoreDeps["cluster"],
  plan: TopicPlan,
  { name: topic, partitions }: TopicDescription,
): Promise<void> {
  if (partitions.length < plan.partition_count) {
    throw new BackupError(
      "TopicChangedError",
      `topic "${topic}" was created by somebody else during the restore, with ` +
        `${partitions.length} partitions where ${plan.partition_count} are needed`,
    );
  }
  for (const { partition } of partitions) {
    const { endOffset } = await cluster.logEndOffset({ topic, partition });
    if (endOffset === 0n) continue;
    throw new BackupError(
      "TargetNotEmptyError",
      `topic "${topic}" was missing when the restore was planned, and now holds records`,
    );
  }
}

async function requireSame(
  { cluster }: RestoreDeps,
  record: RestoreRecord,
  target: RestoreTarget,
): Promise<void> {
  const [description] = await cluster.describeTopics([target.topic]);
  if (description?.topicId !== target.topic_id) throw topicChanged(record, target.topic);
}

function topicChanged({ restoreId }: RestoreRecord, topic: string): BackupError {
  return new BackupError(
    "TopicChangedError",
    `target topic "${topic}" was deleted or created anew since restore ${restoreId} began`,
    { hint: `Give the restore up with --abandon ${restoreId}, then start another.` },
  );
}

/**
 * Puts the settings back, but for retention that would delete what was restored. Call it when
 * every partition of the topic is verified. Idempotent.
 */
export async function finishTopic(
  deps: RestoreDeps,
  record: RestoreRecord,
  plan: TopicPlan,
  results: readonly PartitionResult[],
  bootstrapServers: readonly string[],
): Promise<RestoredTopic> {
  const earlier = await record.restoredTopic(plan.target_topic);
  if (earlier !== undefined) return earlier;
  const target = await knownTarget(record, plan);
  await requireSame(deps, record, target);
  const kept = await keptRetention(deps, plan, target, results, bootstrapServers);
  await putBack(deps, plan, target, kept);
  const restored: RestoredTopic = {
    topic: target.topic,
    topic_id: target.topic_id,
    restored_at: BigInt(deps.clock.nowMs()),
    kept,
  };
  return record.writeRestoredTopic(restored);
}

/**
 * Puts all settings back for a restore that is given up. False where the topic is no longer the
 * restore's, or was never touched: then there is nothing to put back.
 */
export async function releaseTopic(
  deps: RestoreDeps,
  record: RestoreRecord,
  plan: TopicPlan,
): Promise<boolean> {
  const target = await record.target(plan.target_topic);
  if (target === undefined) return false;
  if ((await record.restoredTopic(plan.target_topic)) !== undefined) return false;
  const [description] = await deps.cluster.describeTopics([target.topic]);
  if (description?.topicId !== target.topic_id) return false;
  await putBack(deps, plan, target, []);
  return true;
}

async function putBack(
  { cluster }: RestoreDeps,
  plan: TopicPlan,
  target: RestoreTarget,
  kept: readonly KeptSetting[],
): Promise<void> {
  const changes = changedSettings(plan, target).flatMap(([name]): SettingChange[] => {
    if (kept.some((setting) => setting.name === name)) return [];
    const before = target.settings_before[name]!;
    const isOwn = before.of_topic && before.value !== null;
    return isOwn ? [{ name, set: before.value! }] : [{ name, delete: true }];
  });
  if (changes.length > 0) await cluster.alterTopicSettings(target.topic, changes);
}
