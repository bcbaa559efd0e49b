/** The checks for a target topic that does not exist yet. */
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster, NewTopic } from "#core/kafka/cluster.ts";
import type { Finding } from "#core/restore/findings.ts";
import { retentionFindings } from "#core/restore/settings-harm.ts";
import { type CheckedTopic, partitionPlans, type TopicCheck } from "#core/restore/topic-check.ts";
import {
  asksForMessageSets,
  settingsOfOneCluster,
  settingsWhileRestoring,
} from "#core/restore/topic-settings.ts";

/**
 * Plans the topic with the source's partition count and configuration, as far as the target takes
 * them: it is asked with validate_only, and answers for names, values, policies and permissions.
 */
export async function checkNewTopic(check: TopicCheck): Promise<CheckedTopic> {
  const { planned, request } = check;
  const topic = planned.target_topic;
  if (!request.create_topics) return { findings: [mayNotBeCreated(topic)] };
  const findings: Finding[] = [];
  const replicationFactor = replicationFactorFor(check, findings);
  const bare = { topic, partitionCount: planned.partition_count, replicationFactor };
  const sourceConfig = configFor(check, replicationFactor, findings);
  try {
    const accepted = await acceptedSettings(check.cluster, { ...bare, config: sourceConfig });
    for (const [name, reason] of accepted.refused) {
      findings.push(settingDropped(topic, name, sourceConfig[name]!, reason));
    }
    const during = await acceptedSettings(check.cluster, {
      ...bare,
      config: settingsWhileRestoring(planned.source.config, () => true, check.recordGrowthBytes),
    });
    return {
      findings: [...findings, ...retentionFindings(check, (name) => accepted.config[name])],
      plan: {
        source_topic: planned.source.name,
        target_topic: topic,
        target_topic_id: null,
        partition_count: planned.partition_count,
        replication_factor: replicationFactor,
        config: accepted.config,
        settings_during: during.config,
        partitions: partitionPlans(planned),
      },
    };
  } catch (error) {
    if (!isBackupError(error, "AccessDeniedError", "InvalidRequestError")) throw error;
    return { findings: [...findings, cannotBeCreated(topic, error)] };
  }
}

function mayNotBeCreated(topic: string): Finding {
  return {
    severity: "error",
    code: "target-missing",
    topic,
    message: "does not exist, and restore.create_topics is false",
    remedy: "Create the topic, or set restore.create_topics to true.",
  };
}

function cannotBeCreated(topic: string, error: BackupError): Finding {
  const isDenied = error.name === "AccessDeniedError";
  return {
    severity: "error",
    code: isDenied ? "create-denied" : "create-refused",
    topic,
    message: `the target would not create it: ${error.message}`,
    remedy: isDenied
      ? "Grant CREATE on the topic or on the cluster, or create the topic and run again."
      : "Create the topic by hand as the cluster's rules want it, and run again.",
  };
}

function settingDropped(topic: string, name: string, value: string, reason: string): Finding {
  return {
    severity: "warning",
    code: "setting-dropped",
    topic,
    message: `the source's setting ${name}=${value} is left out: ${reason}`,
    remedy: "Set it by hand if the target has a like one.",
  };
}

/** The source's, or as many as there are brokers. */
function replicationFactorFor({ planned, target }: TopicCheck, findings: Finding[]): number {
  const wanted = planned.source.replication_factor;
  const brokers = target.brokerIds.length;
  if (wanted <= brokers) return wanted;
  findings.push({
    severity: "warning",
    code: "replication-factor-lowered",
    topic: planned.target_topic,
    message:
      `the source has replication factor ${wanted}, the target cluster ${brokers} broker(s): ` +
      `it is created with replication factor ${brokers}`,
    remedy: "Raise it with kafka-reassign-partitions.sh when there are more brokers.",
  });
  return brokers;
}

function configFor(
  { planned }: TopicCheck,
  replicationFactor: number,
  findings: Finding[],
): Record<string, string> {
  const topic = planned.target_topic;
  const config = { ...planned.source.config };
  for (const [name, value] of Object.entries(config)) {
    const reason = reasonToDrop(name, value);
    if (reason === undefined) continue;
    findings.push(settingDropped(topic, name, value, reason));
    delete config[name];
  }
  const minInSync = "min.insync.replicas";
  if (Number(config[minInSync] ?? 1) > replicationFactor) {
    findings.push({
      severity: "warning",
      code: "min-insync-replicas-lowered",
      topic,
      message:
        `the source's ${minInSync}=${config[minInSync]} is more than replication factor ` +
        `${replicationFactor}: it is created with ${minInSync}=${replicationFactor}`,
      remedy: "Raise it together with the replication factor.",
    });
    config[minInSync] = String(replicationFactor);
  }
  return config;
}

function reasonToDrop(name: string, value: string): string | undefined {
  if (settingsOfOneCluster.has(name)) return "it names partitions and brokers";
  return asksForMessageSets(name, value)
    ? "records would lose their headers, and with magic 0 their times"
    : undefined;
}

/**
 * The settings of `topic.config` that the target takes, and why not the others. All in one
 * question where it takes them all, else one by one.
 */
async function acceptedSettings(
  cluster: Cluster,
  topic: NewTopic,
): Promise<{ config: Record<string, string>; refused: [name: string, reason: string][] }> {
  const reason = await refusalOf(cluster, topic);
  if (reason === undefined) return { config: { ...topic.config }, refused: [] };
  const config: Record<string, string> = {};
  const refused: [string, string][] = [];
  for (const [name, value] of Object.entries(topic.config)) {
    const reason = await refusalOf(cluster, { ...topic, config: { [name]: value } });
    if (reason === undefined) config[name] = value;
    else refused.push([name, reason]);
  }
  const together = await refusalOf(cluster, { ...topic, config });
  if (together !== undefined) throw new BackupError("InvalidRequestError", together);
  return { config, refused };
}

/** Why the target refuses the settings; other refusals are thrown. */
async function refusalOf(cluster: Cluster, topic: NewTopic): Promise<string | undefined> {
  try {
    await cluster.validateNewTopic(topic);
    return undefined;
  } catch (error) {
    const isOfSettings =
      isBackupError(error, "InvalidRequestError") && error.details.kafka_error === "INVALID_CONFIG";
    if (isOfSettings) return error.message;
    throw error;
  }
}
