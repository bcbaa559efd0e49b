/** Commits what a plan says, where the log allows it. */
import { BackupError } from "#core/errors.ts";
import type { Cluster, TopicPartition } from "#core/kafka/cluster.ts";
import { changeGroups } from "#core/offsets/change-groups.ts";
import {
  type GroupChange,
  type GroupOutcome,
  type OffsetPlan,
  reportOnlyStrategies,
} from "#core/offsets/contract.ts";
import { clampToLog, logBounds } from "#core/offsets/log-bounds.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import type { Deadline, Logger } from "#core/runtime.ts";

export interface ExecuteDeps {
  /** The target. */
  readonly cluster: Cluster;
  readonly logger: Logger;
}

export interface ExecuteOptions {
  /** Commit the log's end where the plan lies beyond it, instead of refusing. */
  readonly clamp: boolean;
}

/**
 * Commits the decided offsets of a plan, with leader epoch -1 (a foreign epoch would make a
 * consumer read nothing), and reads them back (R8). Partitions that are not in the plan stay
 * untouched; for a strategy that only reports nothing is written. Throws what `prepareChanges`
 * throws and GroupNotEmptyError, both before any write; a group's failure is in its outcome.
 */
export async function executePlan(
  deps: ExecuteDeps,
  plan: OffsetPlan,
  options: ExecuteOptions,
  deadline: Deadline,
): Promise<{ outcomes: GroupOutcome[] }> {
  const changes = await prepareChanges(deps, plan, options);
  if (changes.length === 0) return { outcomes: [] };
  return { outcomes: await changeGroups(deps, changes, deadline) };
}

/**
 * What is to be committed, held against the log as it is now: an offset whose record was deleted
 * becomes the log's first one. Writes nothing. Throws InvalidRequestError for another cluster's
 * plan, TopicChangedError, and PreflightRefusedError for what lies beyond the log's end, unless
 * `clamp` allows to take that end.
 */
export async function prepareChanges(
  { cluster, logger }: ExecuteDeps,
  plan: OffsetPlan,
  { clamp }: ExecuteOptions,
): Promise<GroupChange[]> {
  if (reportOnlyStrategies.includes(plan.strategy)) return [];
  const groups = plan.groups.map(({ group, partitions }) => ({
    group,
    decided: partitions.flatMap((one) =>
      one.target_offset === null ? [] : [{ ...one, offset: one.target_offset }],
    ),
  }));
  const targets = distinct(groups.flatMap(({ decided }) => decided));
  if (targets.length === 0) return [];
  await refuseOtherTopics(cluster, plan, targets);
  const bounds = await logBounds(cluster, targets);
  const beyond: string[] = [];
  const changes = groups.map(({ group, decided }): GroupChange => {
    const commits = decided.map(({ topic, partition, offset, metadata }) => {
      const name = partitionName({ topic, partition });
      const clamped = clampToLog(offset, bounds.get(name)!);
      if (clamped.is === "beyond") beyond.push(`${name} of ${quoted(group)}: ${clamped.note}`);
      if (clamped.note !== undefined) logger.warn(`${name}: ${clamped.note}`, { group });
      return { topic, partition, offset: clamped.offset, leaderEpoch: -1, metadata };
    });
    return { group, commits, deletions: [] };
  });
  if (beyond.length > 0 && !clamp) throw beyondTheLog(beyond);
  return changes.filter(({ commits }) => commits.length > 0);
}

function distinct(partitions: readonly TopicPartition[]): TopicPartition[] {
  const byName = new Map(
    partitions.map(({ topic, partition }) => {
      const at = { topic, partition };
      return [partitionName(at), at];
    }),
  );
  return [...byName.values()];
}

/** Between a plan and its execution somebody may have deleted the topic. */
async function refuseOtherTopics(
  cluster: Cluster,
  { target_cluster_id, target_topics = {} }: OffsetPlan,
  targets: readonly TopicPartition[],
): Promise<void> {
  if (target_cluster_id !== undefined && target_cluster_id !== cluster.clusterId) {
    throw new BackupError(
      "InvalidRequestError",
      `the plan is for cluster ${target_cluster_id}, and this is ${cluster.clusterId}`,
      { hint: "Name the bootstrap servers of the cluster that was restored into." },
    );
  }
  const topics = [...new Set(targets.map(({ topic }) => topic))];
  const found = await cluster.describeTopics(topics);
  const ids = new Map(found.map(({ name, topicId }) => [name, topicId]));
  const changed = topics.filter(
    (topic) =>
      !ids.has(topic) || (target_topics[topic]?.topic_id ?? ids.get(topic)) !== ids.get(topic),
  );
  if (changed.length === 0) return;
  throw new BackupError(
    "TopicChangedError",
    `topics ${changed.join(", ")} were deleted or created anew since the plan was made`,
    { hint: "Restore again, then plan again." },
  );
}

/** Places named in one message; the rest are counted. */
const placesNamed = 5;

function beyondTheLog(places: readonly string[]): BackupError {
  const more = places.length > placesNamed ? `; and ${places.length - placesNamed} more` : "";
  return new BackupError(
    "PreflightRefusedError",
    `${places.slice(0, placesNamed).join("; ")}${more}`,
    {
      hint:
        "The log lost records after the restore, or is another one: look before you go on. " +
        "--force commits the log's end instead.",
    },
  );
}

function quoted(group: string): string {
  return JSON.stringify(group);
}
