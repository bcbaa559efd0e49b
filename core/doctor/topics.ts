/** Whether the patterns of a backup select topics that may be read. */
import { selectTopics, type TopicPatterns } from "#core/backup/select-topics.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { type BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster, TopicDescription } from "#core/kafka/cluster.ts";

/** The value: the topics that are selected. */
export async function checkTopics(
  cluster: Cluster,
  patterns: TopicPatterns,
): Promise<Checked<TopicDescription[]>> {
  const all = await cluster.describeTopics();
  const findings: Found[] = [];
  const include: string[] = [];
  for (const pattern of patterns.include) {
    const matched = selected(all, { ...patterns, include: [pattern], exclude: [] });
    if (Array.isArray(matched)) {
      include.push(pattern);
      if (matched.length === 0) findings.push(noMatch(pattern));
    } else findings.push(await nothingSelected(cluster, pattern, matched));
  }
  const topics = include.length === 0 ? [] : selected(all, { ...patterns, include });
  if (!Array.isArray(topics)) {
    findings.push({ ...absence(topics), remedy: "Correct topics.exclude." });
    return { seen: "no topics selected", findings, value: [] };
  }
  const partitions = topics.reduce((sum, topic) => sum + topic.partitions.length, 0);
  const unknown = topics.filter(({ authorizedOperations }) => authorizedOperations === undefined);
  return {
    seen: `${topics.length} topics with ${partitions} partitions selected`,
    findings: [...findings, ...topics.flatMap(topicFindings), ...unknownRights(unknown)],
    value: topics,
  };
}

function selected(
  all: readonly TopicDescription[],
  patterns: TopicPatterns,
): TopicDescription[] | BackupError {
  try {
    return selectTopics(all, patterns);
  } catch (error) {
    if (isBackupError(error, "TopicNotFoundError")) return error;
    throw error;
  }
}

/** In a list of all topics, one that may not be seen looks absent: asked for by name it does not. */
async function nothingSelected(
  cluster: Cluster,
  pattern: string,
  reason: BackupError,
): Promise<Found> {
  try {
    await cluster.describeTopics([pattern]);
    return absence(reason);
  } catch (error) {
    // A pattern is no name that a topic can have.
    if (isBackupError(error, "InvalidRequestError")) return absence(reason);
    if (!isBackupError(error, "AccessDeniedError")) throw error;
    return {
      severity: "error",
      code: "describe-denied",
      message: `whether topic ${pattern} exists is not known: ${error.message}`,
      remedy: `Grant DESCRIBE, READ and DESCRIBE_CONFIGS on topic ${pattern}.`,
    };
  }
}

/** Where that is allowed. */
function noMatch(pattern: string): Found {
  return {
    severity: "info",
    code: "no-match",
    message: `no topic matches the pattern "${pattern}" of topics.include, as allow_no_match allows`,
    remedy: "Correct the pattern, or grant DESCRIBE, where there are such topics.",
  };
}

function absence({ message, hint: remedy }: BackupError): Found {
  return { severity: "error", code: "no-topic", message, remedy };
}

const needed = [
  ["READ", "to read its records"],
  ["DESCRIBE_CONFIGS", "to keep its settings for a restore"],
] as const;

/** What the broker says that these credentials may do (KIP-430). */
function topicFindings({ name, partitions, authorizedOperations }: TopicDescription): Found[] {
  const lacking = needed.filter(
    ([operation]) => authorizedOperations?.includes(operation) === false,
  );
  const leaderless = partitions.filter(({ leader }) => leader < 0);
  return [
    ...lacking.map(
      ([operation, purpose]): Found => ({
        severity: "error",
        code: "operation-denied",
        message: `the credentials lack ${operation} on topic ${name}, needed ${purpose}`,
        remedy: `Grant ${operation} on topic ${name}.`,
      }),
    ),
    ...leaderless.map(
      ({ partition, replicas }): Found => ({
        severity: "error",
        code: "no-leader",
        message: `${name}-${partition} has no leader`,
        remedy: `Bring up one of its brokers: ${replicas.join(", ")}.`,
      }),
    ),
  ];
}

function unknownRights(topics: readonly TopicDescription[]): Found[] {
  if (topics.length === 0) return [];
  return [
    {
      severity: "info",
      code: "rights-unknown",
      message: `the brokers do not say what the credentials may do on ${topics.length} topics`,
      remedy: "A first backup shows it: what is denied is named, the rest is backed up.",
    },
  ];
}
