/** Which topics of a cluster a backup covers. */
import picomatch from "picomatch";
import { BackupError } from "#core/errors.ts";
import type { TopicDescription } from "#core/kafka/cluster.ts";

export interface TopicPatterns {
  /** Names or globs; a name must exist, a glob must match something. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/**
 * The topics that `include` names and `exclude` does not, by name. Globs never match Kafka's
 * internal topics; a name may. Throws TopicNotFoundError for an entry that selects nothing (K6).
 */
export function selectTopics(
  topics: readonly TopicDescription[],
  patterns: TopicPatterns,
): TopicDescription[] {
  const isExcluded = picomatch([...patterns.exclude], { dot: true });
  const selected = new Map<string, TopicDescription>();
  for (const pattern of patterns.include) {
    const found = topics.filter(includes(pattern));
    if (found.length === 0) throw nothingFound(pattern);
    for (const topic of found) {
      if (!isExcluded(topic.name)) selected.set(topic.name, topic);
    }
  }
  if (selected.size === 0) {
    throw new BackupError(
      "TopicNotFoundError",
      `topics.exclude [${patterns.exclude.join(", ")}] leaves nothing of topics.include`,
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

function nothingFound(pattern: string): BackupError {
  const isGlob = picomatch.scan(pattern).isGlob;
  return new BackupError(
    "TopicNotFoundError",
    isGlob
      ? `no topic matches the pattern "${pattern}" of topics.include`
      : `topic "${pattern}" of topics.include does not exist, or may not be seen`,
  );
}
