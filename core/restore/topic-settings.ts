/**
 * Topic settings while a restore writes, and what that means for those that were there. Batches
 * shall be kept as they are sent, whatever their codec, age and size, and none of them deleted
 * before the restore is verified.
 */
import type { TopicSetting } from "#core/kafka/cluster.ts";
import type { RestoreTarget, TopicPlan } from "#core/restore/documents.ts";

/** Java's Long.MAX_VALUE: how Kafka's settings in milliseconds say "without bound". */
export const unbounded = "9223372036854775807";

/** Kafka's own default of max.message.bytes: 1 MiB and a batch's overhead of 12 bytes. */
export const maxMessageBytesDefault = 1_048_588;

/**
 * All that a restore changes on a topic. Kafka 3.6 split message.timestamp.difference.max.ms into
 * two (KIP-937), which give way to it while it is there; Kafka 4.0 has the two alone.
 */
const wanted: Readonly<Record<string, string>> = {
  "compression.type": "producer",
  "cleanup.policy": "delete",
  "retention.ms": "-1",
  "retention.bytes": "-1",
  // Records of years would else make a log segment for each week of theirs.
  "segment.ms": unbounded,
  "message.timestamp.type": "CreateTime",
  "message.timestamp.before.max.ms": unbounded,
  "message.timestamp.after.max.ms": unbounded,
  "message.timestamp.difference.max.ms": unbounded,
};

/**
 * What is this close to its end when it is restored counts as deleted: nobody has looked at the
 * result yet. A day also covers what this machine's clock and the brokers' may differ by.
 */
export const retentionGraceMs = 24n * 60n * 60n * 1000n;

/** Settings that name brokers or partitions of the cluster that they come from. */
export const settingsOfOneCluster: ReadonlySet<string> = new Set([
  "leader.replication.throttled.replicas",
  "follower.replication.throttled.replicas",
]);

/**
 * Whether the setting has brokers write the formats before record batches (magic 0 and 1), which
 * have neither headers nor leader epochs. Kafka 3.0 began to pass it over, 4.0 does not know it.
 */
export function asksForMessageSets(name: string, value: string): boolean {
  return name === "message.format.version" && /^0\.(?:8|9|10)\./.test(value);
}

/** What is wanted of max.message.bytes for batches that a topic with these settings took. */
export function maxMessageBytesFor(sourceConfig: Readonly<Record<string, string>>): number {
  const configured = Number(sourceConfig["max.message.bytes"] ?? maxMessageBytesDefault);
  return Math.max(configured, maxMessageBytesDefault);
}

/**
 * The settings while restoring, of any Kafka version; `isKnown` says which names the target has.
 * Each record may be `recordGrowthBytes` larger than in the source.
 */
export function settingsWhileRestoring(
  sourceConfig: Readonly<Record<string, string>>,
  isKnown: (name: string) => boolean,
  recordGrowthBytes = 0,
): Record<string, string> {
  const maxMessageBytes = maxMessageBytesFor(sourceConfig) + recordGrowthBytes;
  const all = { ...wanted, "max.message.bytes": String(maxMessageBytes) };
  return Object.fromEntries(Object.entries(all).filter(([name]) => isKnown(name)));
}

/** Whether `current` must give way; max.message.bytes is only ever raised. */
export function mustChange(name: string, current: string | null, during: string): boolean {
  if (name === "max.message.bytes") return Number(current) < Number(during);
  return current !== during;
}

/** The changes to make before the first produce, and to take back afterwards. */
export function changedSettings(
  plan: Pick<TopicPlan, "settings_during">,
  target: Pick<RestoreTarget, "settings_before">,
): [name: string, during: string][] {
  return Object.entries(plan.settings_during).filter(([name, during]) => {
    const before = target.settings_before[name];
    return before !== undefined && mustChange(name, before.value, during);
  });
}

/** max.message.bytes that holds while restoring. */
export function maxMessageBytesDuring(
  plan: Pick<TopicPlan, "settings_during">,
  target: Pick<RestoreTarget, "settings_before">,
): number {
  const name = "max.message.bytes";
  const during = Number(plan.settings_during[name] ?? 0);
  return (
    Math.max(during, Number(target.settings_before[name]?.value ?? 0)) || maxMessageBytesDefault
  );
}

/** What a topic's settings say of those names, as a `RestoreTarget` keeps it. */
export function settingsBefore(
  names: readonly string[],
  settings: ReadonlyMap<string, TopicSetting>,
): RestoreTarget["settings_before"] {
  return Object.fromEntries(
    names.flatMap((name) => {
      const setting = settings.get(name);
      return setting === undefined
        ? []
        : [[name, { value: setting.value, of_topic: setting.ofTopic }]];
    }),
  );
}
