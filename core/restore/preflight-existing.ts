/** The checks for a target topic that is there already. */
import { type BackupError, errorTable, isBackupError } from "#core/errors.ts";
import type { TopicSetting } from "#core/kafka/cluster.ts";
import type { Finding } from "#core/restore/findings.ts";
import { harmIfKept, retentionFindings } from "#core/restore/settings-harm.ts";
import { offsetsHeld, type TargetTopic } from "#core/restore/target.ts";
import { type CheckedTopic, partitionPlans, type TopicCheck } from "#core/restore/topic-check.ts";
import { mustChange, settingsWhileRestoring } from "#core/restore/topic-settings.ts";

/** Plans what to change on the topic, and finds what stands against restoring into it. */
export async function checkExistingTopic(
  check: TopicCheck,
  topic: TargetTopic,
): Promise<CheckedTopic> {
  const findings = [
    ...checkContents(check, topic),
    ...checkPartitions(check, topic),
    ...checkOperations(topic),
  ];
  const { settings, description } = topic;
  if (settings === undefined) {
    return { findings: [...findings, settingsDenied(description.name)] };
  }
  const wanted = settingsWhileRestoring(
    check.planned.source.config,
    (name) => settings.has(name),
    check.recordGrowthBytes,
  );
  const changes = Object.entries(wanted).filter(([name, during]) =>
    mustChange(name, settings.get(name)?.value ?? null, during),
  );
  const refusal = await refusalOf(check, changes);
  const own = [...settings.values()].flatMap(({ name, value, ofTopic }) =>
    ofTopic && value !== null ? [[name, value] as const] : [],
  );
  return {
    findings: [
      ...findings,
      ...checkReplicas(topic, settings),
      ...(refusal === undefined
        ? retentionFindings(check, (name) => settings.get(name)?.value)
        : changes.map(([name]) => cannotChange(check, settings.get(name)!, refusal))),
    ],
    plan: {
      source_topic: check.planned.source.name,
      target_topic: description.name,
      target_topic_id: description.topicId,
      partition_count: description.partitions.length,
      replication_factor: replicationFactorOf(topic),
      config: Object.fromEntries(own),
      settings_during: refusal === undefined ? wanted : {},
      partitions: partitionPlans(check.planned),
    },
  };
}

function replicationFactorOf({ description }: TargetTopic): number {
  return Math.max(1, ...description.partitions.map(({ replicas }) => replicas.length));
}

function checkContents(check: TopicCheck, target: TargetTopic): Finding[] {
  const { planned, request, sourceClusterId } = check;
  const topic = planned.target_topic;
  const findings: Finding[] = [];
  for (const [partition, log] of target.logs) {
    if (!(log instanceof Error)) continue;
    findings.push({
      severity: "error",
      code: "target-unreadable",
      topic,
      partition,
      message: `the partition cannot be asked for its offsets: ${log.message}`,
      remedy: "Grant DESCRIBE on the topic, or bring the partition's leader up.",
    });
  }
  const held = offsetsHeld(target);
  const isSource = check.target.clusterId === sourceClusterId && topic === planned.source.name;
  const what = isSource ? "is the topic that was backed up, and" : "";
  if (held > 0n) {
    findings.push({
      severity: request.allow_non_empty ? "warning" : "error",
      code: "target-not-empty",
      topic,
      message: `${what} holds ${held} offsets already`.trim(),
      remedy: request.allow_non_empty
        ? "Consumers will see the restored records after those, some perhaps a second time."
        : errorTable.TargetNotEmptyError.hint,
    });
  }
  return findings;
}

function checkPartitions({ planned }: TopicCheck, { description }: TargetTopic): Finding[] {
  const topic = description.name;
  const found = description.partitions.length;
  const needed = Math.max(0, ...planned.partitions.map((p) => p.target_partition + 1));
  if (found < needed) {
    return [
      {
        severity: "error",
        code: "too-few-partitions",
        topic,
        message: `has ${found} partitions, the restore needs ${needed}`,
        remedy:
          `Run kafka-topics.sh --alter --topic ${topic} --partitions ${needed}, ` +
          "or restore into another topic.",
      },
    ];
  }
  const source = planned.source.partition_count;
  if (found === source) return [];
  return [
    {
      severity: "warning",
      code: "other-partition-count",
      topic,
      message: `has ${found} partitions, the source ${source}`,
      remedy: "Producers will put new records of a key into another partition than the restored.",
    },
  ];
}

/** What the broker says that these credentials may do (KIP-430). */
function checkOperations({ description }: TargetTopic): Finding[] {
  const allowed = description.authorizedOperations;
  if (allowed === undefined) return [];
  const needed = [
    ["WRITE", "to send records"],
    ["READ", "to verify what was restored"],
  ] as const;
  return needed
    .filter(([operation]) => !allowed.includes(operation))
    .map(([operation, purpose]) => ({
      severity: "error",
      code: "operation-denied",
      topic: description.name,
      message: `the credentials lack ${operation} on the topic, needed ${purpose}`,
      remedy: `Grant ${operation} on topic ${description.name}.`,
    }));
}

function settingsDenied(topic: string): Finding {
  return {
    severity: "error",
    code: "settings-denied",
    topic,
    message: "the credentials may not see its settings: whether it keeps records is not known",
    remedy: `Grant DESCRIBE_CONFIGS and ALTER_CONFIGS on topic ${topic}.`,
  };
}

/** acks=all wants min.insync.replicas of each partition. */
function checkReplicas(
  { description }: TargetTopic,
  settings: ReadonlyMap<string, TopicSetting>,
): Finding[] {
  const needed = Number(settings.get("min.insync.replicas")?.value ?? 1);
  return description.partitions.flatMap((partition): Finding[] => {
    const place = { topic: description.name, partition: partition.partition };
    if (partition.leader < 0) {
      return [
        {
          ...place,
          severity: "error",
          code: "no-leader",
          message: "the partition has no leader",
          remedy: `Bring up one of its brokers: ${partition.replicas.join(", ")}.`,
        },
      ];
    }
    if (partition.inSyncReplicas.length >= needed) return [];
    // With KIP-966 a broker asks for no more replicas in sync than there are.
    const isComplete = partition.inSyncReplicas.length === partition.replicas.length;
    return [
      {
        ...place,
        severity: isComplete ? "warning" : "error",
        code: "too-few-insync-replicas",
        message:
          `${partition.inSyncReplicas.length} of ${partition.replicas.length} replicas are in ` +
          `sync, min.insync.replicas is ${needed}`,
        remedy: isComplete
          ? "Brokers older than Kafka 4.0 refuse writes then: lower min.insync.replicas."
          : "Bring the other brokers up, or lower min.insync.replicas.",
      },
    ];
  });
}

/** Whether the target lets the settings be changed: undefined when it does. */
async function refusalOf(
  { cluster, planned }: TopicCheck,
  changes: readonly (readonly [string, string])[],
): Promise<BackupError | undefined> {
  if (changes.length === 0) return undefined;
  try {
    await cluster.validateTopicSettings(
      planned.target_topic,
      changes.map(([name, during]) => ({ name, set: during })),
    );
    return undefined;
  } catch (error) {
    if (isBackupError(error, "AccessDeniedError", "InvalidRequestError")) return error;
    throw error;
  }
}

function cannotChange(check: TopicCheck, setting: TopicSetting, refusal: BackupError): Finding {
  const { severity, harm } = harmIfKept(setting, check);
  return {
    severity,
    code: "setting-unchangeable",
    topic: check.planned.target_topic,
    message: `${setting.name}=${setting.value} cannot be changed (${refusal.message}): ${harm}`,
    remedy: `Grant ALTER_CONFIGS on the topic, or change ${setting.name} by hand first.`,
  };
}
