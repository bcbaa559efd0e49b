/** Which topics of a backup a restore covers, and under what names. */
import picomatch from "picomatch";
import type { TopicState } from "#core/catalog/manifest.ts";
import { suggestionFor } from "#core/config/suggest.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { checkTopicName } from "#core/storage/keys.ts";

/**
 * Kafka's own topics (`org.apache.kafka.common.internals.Topic`): globs pass over them, and no
 * restore writes to them.
 */
const internalTopics = new Set([
  "__consumer_offsets",
  "__transaction_state",
  "__share_group_state",
  "__cluster_metadata",
]);

/** Throws TopicNotFoundError, with a suggestion, for an entry that selects nothing. */
export function selectTopics(
  topics: readonly TopicState[],
  { include, exclude }: RestoreRequest["topics"],
): TopicState[] {
  const isExcluded = picomatch([...exclude], { dot: true });
  const selected = new Map<string, TopicState>();
  for (const pattern of include) {
    const found = topics.filter(({ name }) => includes(pattern, name));
    if (found.length === 0) throw nothingFound(pattern, topics);
    for (const topic of found) if (!isExcluded(topic.name)) selected.set(topic.name, topic);
  }
  if (selected.size === 0) {
    throw new BackupError(
      "TopicNotFoundError",
      `target.topics.exclude [${exclude.join(", ")}] leaves nothing of target.topics.include`,
    );
  }
  return [...selected.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function includes(pattern: string, name: string): boolean {
  if (pattern === name) return true;
  return !internalTopics.has(name) && picomatch.isMatch(name, pattern, { dot: true });
}

function nothingFound(pattern: string, topics: readonly TopicState[]): BackupError {
  if (picomatch.scan(pattern).isGlob) {
    return new BackupError(
      "TopicNotFoundError",
      `no topic of the backup matches the pattern "${pattern}" of target.topics.include`,
      { hint: "`kafka-backup describe` lists the topics of a backup." },
    );
  }
  return unknownTopic(pattern, "target.topics.include", topics);
}

function unknownTopic(name: string, where: string, topics: readonly TopicState[]): BackupError {
  const suggestion = suggestionFor(
    name,
    topics.map((topic) => topic.name),
  );
  const meant = suggestion === undefined ? "" : `; did you mean "${suggestion}"?`;
  return new BackupError(
    "TopicNotFoundError",
    `topic "${name}" of ${where} is not in the backup${meant}`,
    { hint: "`kafka-backup describe` lists the topics of a backup." },
  );
}

/**
 * The target name of each selected topic. Throws TopicNotFoundError for a mapping of a topic that
 * the backup does not hold, InvalidRequestError where two topics meet in one or a name is bad.
 */
export function mapTopics(
  all: readonly TopicState[],
  selected: readonly TopicState[],
  mapping: RestoreRequest["topic_mapping"],
): Map<string, string> {
  for (const source of Object.keys(mapping)) {
    if (!all.some(({ name }) => name === source)) {
      throw unknownTopic(source, "restore.topic_mapping", all);
    }
  }
  const targets = new Map<string, string>();
  const sources = new Map<string, string>();
  for (const { name } of selected) {
    const target = checkTopicName(Object.hasOwn(mapping, name) ? mapping[name]! : name);
    if (internalTopics.has(target)) {
      throw new BackupError("InvalidRequestError", `${target} is a topic of Kafka's own`, {
        hint: `Leave "${name}" out with target.topics.exclude, or map it to another name.`,
      });
    }
    const other = sources.get(target);
    if (other !== undefined) {
      throw new BackupError(
        "InvalidRequestError",
        `topics "${other}" and "${name}" would both be restored into "${target}"`,
        { hint: "Correct restore.topic_mapping, or restore them one after the other." },
      );
    }
    sources.set(target, name);
    targets.set(name, target);
  }
  return targets;
}

/**
 * The target partition of each of `partitions`. Throws InvalidRequestError for a mapping of a
 * partition that the topic does not have, and where two partitions meet in one: a restored
 * partition has exactly one stream of records.
 */
export function mapPartitions(
  topic: TopicState,
  partitions: readonly number[],
  mapping: Readonly<Record<string, number>> | undefined,
): Map<number, number> {
  for (const source of Object.keys(mapping ?? {})) {
    if (Number(source) < topic.partition_count) continue;
    throw new BackupError(
      "InvalidRequestError",
      `restore.partition_mapping of "${topic.name}": there is no partition ${source}, ` +
        `the topic has ${topic.partition_count}`,
    );
  }
  const targets = new Map<number, number>();
  const sources = new Map<number, number>();
  for (const source of partitions) {
    const target = mapping?.[source] ?? source;
    const other = sources.get(target);
    if (other !== undefined) {
      throw new BackupError(
        "InvalidRequestError",
        `restore.partition_mapping of "${topic.name}": partitions ${other} and ${source} ` +
          `would both be restored into partition ${target}`,
        { hint: "Give every source partition a target partition of its own." },
      );
    }
    sources.set(target, source);
    targets.set(source, target);
  }
  return targets;
}
