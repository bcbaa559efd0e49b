/** What the target cluster looks like before a restore touches it. Reads only. */

import pLimit from "p-limit";
import { type BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster, TopicDescription, TopicSetting } from "#core/kafka/cluster.ts";
import { settingsOf } from "#core/kafka/settings-of.ts";

/** Requests to the cluster under way at once; a broker queues 500 by default. */
const concurrentRequests = 16;

export interface TargetTopic {
  readonly description: TopicDescription;
  /** By name; undefined where the credentials may not see them. */
  readonly settings: ReadonlyMap<string, TopicSetting> | undefined;
  /** Offsets `[start, end)` in the log, by partition; what the broker answered else. */
  readonly logs: ReadonlyMap<number, TargetLog | Error>;
}

export interface TargetLog {
  readonly start: bigint;
  readonly end: bigint;
}

export interface TargetCluster {
  readonly clusterId: string;
  readonly brokerIds: readonly number[];
  /** By name; those that do not exist are absent. */
  readonly topics: ReadonlyMap<string, TargetTopic>;
  /** By name: why the credentials may not know whether the topic exists. */
  readonly hidden: ReadonlyMap<string, BackupError>;
}

export async function readTarget(
  cluster: Cluster,
  names: readonly string[],
): Promise<TargetCluster> {
  const brokerIds = await cluster.brokerIds();
  const limit = pLimit(concurrentRequests);
  const hidden = new Map<string, BackupError>();
  const describe = async (name: string) => {
    try {
      return await cluster.describeTopics([name]);
    } catch (error) {
      if (!isBackupError(error, "AccessDeniedError")) throw error;
      hidden.set(name, error);
      return [];
    }
  };
  const descriptions = (await Promise.all(names.map((name) => limit(describe, name)))).flat();
  const topics = await Promise.all(
    descriptions.map((description) => limit(readTopic, cluster, description)),
  );
  return {
    clusterId: cluster.clusterId,
    brokerIds,
    topics: new Map(topics.map((topic) => [topic.description.name, topic])),
    hidden,
  };
}

async function readTopic(cluster: Cluster, description: TopicDescription): Promise<TargetTopic> {
  return {
    description,
    settings: await readSettings(cluster, description.name),
    logs: await readLogs(cluster, description),
  };
}

async function readSettings(
  cluster: Cluster,
  topic: string,
): Promise<Map<string, TopicSetting> | undefined> {
  try {
    return await topicSettingsByName(cluster, topic);
  } catch (error) {
    if (isBackupError(error, "AccessDeniedError")) return undefined;
    throw error;
  }
}

export async function topicSettingsByName(
  cluster: Cluster,
  topic: string,
): Promise<Map<string, TopicSetting>> {
  const settings = await settingsOf(cluster, topic);
  return new Map(settings.map((setting) => [setting.name, setting]));
}

async function readLogs(
  cluster: Cluster,
  { name, partitions }: TopicDescription,
): Promise<Map<number, TargetLog | Error>> {
  const all = partitions.map(({ partition }) => ({ topic: name, partition }));
  const [starts, ends] = await Promise.all([
    cluster.listOffsets(all, "earliest"),
    cluster.listOffsets(all, "highWatermark"),
  ]);
  return new Map(
    starts.map((start, i): [number, TargetLog | Error] => {
      const end = ends[i]!;
      if ("error" in start) return [start.partition, start.error];
      if ("error" in end) return [end.partition, end.error];
      return [start.partition, { start: start.offset, end: end.offset }];
    }),
  );
}

/** Records and markers in the topic's logs, as far as they could be asked for. */
export function offsetsHeld(topic: TargetTopic): bigint {
  let held = 0n;
  for (const log of topic.logs.values()) if (!(log instanceof Error)) held += log.end - log.start;
  return held;
}
