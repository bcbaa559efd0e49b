/** Which topics of a cluster a backup covers. */
import picomatch from "picomatch";
import { BackupError } from "#core/errors.ts";
import type { TopicDescription } from "#core/kafka/cluster.ts";

export interface TopicPatterns {
  /** Names or globs; a name must exist, a glob must match something unless that is allowed. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly allow_no_match?: boolean | undefined;
}

/**
 * The topics that `include` names and `exclude` does not, by name. Globs never match Kafka's
 * internal topics; a name may. Throws TopicNotFoundError for an entry that selects nothing, unless
 * it is a glob and may; where all of them are and may, there may be no topic at all (K6).
 */
export function selectTopics(
  topics: readonly TopicDescription[],
  patterns: TopicPatterns,
): TopicDescription[] {
  const { include, exclude, allow_no_match = false } = patterns;
  const isExcluded = picomatch([...exclude], { dot: true });
  const mayMatchNothing = (pattern: string) => allow_no_match && isTopicGlob(pattern);
  const selected = new Map<string, TopicDescription>();
  for (const pattern of include) {
    const found = topics.filter(includes(pattern));
    if (found.length === 0 && !mayMatchNothing(pattern)) throw nothingFound(pattern);
    for (const topic of found) {
      if (!isExcluded(topic.name)) selected.set(topic.name, topic);
    }
  }
  if (selected.size === 0 && !include.every(mayMatchNothing)) {
    throw new BackupError(
      "TopicNotFoundError",
      `topics.exclude [${exclude.join(", ")}] leaves nothing of topics.include`,
    );
  }
  return [...selected.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function includes(pattern: string): (topic: TopicDescription) => boolean {
  const isMatch = matchesTopic(pattern);
  return ({ name, internal }) => pattern === name || (!internal && isMatch(name));
}

/** Whether a glob of `topics.include` means a name. */
export function matchesTopic(pattern: string): (name: string) => boolean {
  const isMatch = picomatch(pattern, { dot: true });
  return (name) => isMatch(name);
}

/** Whether an entry of `topics.include` is a pattern; no topic is called so. */
export function isTopicGlob(entry: string): boolean {
  return picomatch.scan(entry).isGlob;
}

function nothingFound(entry: string): BackupError {
  if (!isTopicGlob(entry)) {
    return new BackupError(
      "TopicNotFoundError",
      `topic "${entry}" of topics.include does not exist, or may not be seen`,
    );
  }
  return new BackupError(
    "TopicNotFoundError",
    `no topic matches the pattern "${entry}" of topics.include`,
    { hint: "Correct it, or set topics.allow_no_match where nothing may match." },
  );
}
