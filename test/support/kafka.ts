/** The broker that all integration test files of a run share: use random topic names. */
import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type ConnectDeps, connectCluster } from "#core/kafka/connect.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { type KafkaTools, kafkaTools } from "#local/kafka.ts";
import { kafkaVersion } from "#local/kafka-install.ts";

export interface TestKafka extends KafkaTools {
  /** `host:port` of the plaintext listener. */
  readonly bootstrapServers: string;
  readonly classpath: string;
  /** The broker's log folder: `TOPIC-PARTITION/*.log`. */
  readonly dataDir: string;
  readonly logFile: string;
}

/** What differs in older ones is named where a test meets it. */
export const isKafka4OrLater = Number.parseInt(kafkaVersion, 10) >= 4;

export function kafkaForTests(): TestKafka {
  const kafka = inject("kafka");
  return { ...kafka, ...kafkaTools(kafka.classpath) };
}

/** A name that no other test uses. */
export function randomName(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString("hex")}`;
}

/** Connects to the shared broker unless `config` names another. */
export function connectForTests(
  config: Partial<ClusterConfig> = {},
  deps: Partial<ConnectDeps> = {},
): Promise<Cluster> {
  const servers = config.bootstrap_servers ?? [inject("kafka").bootstrapServers];
  return connectCluster(
    { ...config, bootstrap_servers: servers },
    { clock: systemClock, logger: silentLogger, ...deps },
  );
}

/** Creates a topic of a random name and returns the name. */
export async function createTopic(
  cluster: Cluster,
  options: {
    partitionCount?: number;
    replicationFactor?: number;
    config?: Record<string, string>;
    prefix?: string;
  } = {},
): Promise<string> {
  const { partitionCount = 1, replicationFactor = 1, config = {}, prefix = "topic" } = options;
  const topic = randomName(prefix);
  await cluster.createTopics([{ topic, partitionCount, replicationFactor, config }]);
  // A broker names itself the leader shortly before it takes produce requests as one.
  for (let partition = 0; partition < partitionCount; partition++) {
    await cluster.logEndOffset({ topic, partition });
  }
  return topic;
}
