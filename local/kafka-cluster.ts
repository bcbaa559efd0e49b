/** A real Apache Kafka of several brokers on loopback ports, each of which can be ended alone. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KafkaTools, kafkaTools } from "#local/kafka.ts";
import { type LocalBroker, newClusterId, prepareBroker } from "#local/kafka-broker.ts";
import type { KafkaCertificates } from "#local/kafka-certificates.ts";
import { installKafka } from "#local/kafka-install.ts";
import { type KafkaListener, listenerAddresses, prepareListeners } from "#local/kafka-listeners.ts";
import { freePort } from "#local/processes.ts";

export interface KafkaClusterOptions {
  /** 3 when not given. All are controllers too, so that most of them must run. */
  readonly brokers?: number;
  /** Settings of every broker that replace or add to those of a small one. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Each JVM's heap; 256 MB when not given. */
  readonly heapMb?: number;
  /** Listeners beside the plaintext one, on each broker. */
  readonly listeners?: readonly KafkaListener[];
}

export interface LocalKafkaCluster extends KafkaTools {
  /** `host:port` of every broker's plaintext listener, with commas. */
  readonly bootstrapServers: string;
  /** The same of each extra listener, by its name. */
  readonly listeners: Readonly<Record<string, string>>;
  /** Where a listener has TLS. */
  readonly certificates: KafkaCertificates | undefined;
  /** Kafka's jars, for `java -cp`. */
  readonly classpath: string;
  /** Node ids 1, 2, 3 … in this order. */
  readonly brokers: readonly LocalBroker[];
  /** By node id, as Kafka names leaders and replicas. */
  broker(nodeId: number): LocalBroker;
  /**
   * Waits until every partition, also of Kafka's own topics, has all its replicas in sync: before
   * that, the next broker that is ended may take a partition's only replica with it.
   */
  inSync(): Promise<void>;
  /** Ends all brokers and removes their data. */
  stop(): Promise<void>;
}

const brokersDefault = 3;
const heapMbDefault = 256;
const inSyncTimeoutMs = 120_000;

/** Starts all brokers; the first time on a machine it installs Kafka. */
export async function startKafkaCluster(
  options: KafkaClusterOptions = {},
): Promise<LocalKafkaCluster> {
  const classpath = await installKafka();
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-kafka-cluster-"));
  const brokers: LocalBroker[] = [];
  const stop = async () => {
    await Promise.all(brokers.map((broker) => broker.kill()));
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const certificates = await prepareBrokers(folder, classpath, options, brokers);
    await startAll(brokers);
    const bootstrapServers = brokers.map((broker) => broker.bootstrapServers).join(",");
    const tools = kafkaTools(classpath);
    return {
      bootstrapServers,
      listeners: listenersOf(brokers),
      certificates,
      classpath,
      brokers,
      broker: (nodeId) => brokerOf(brokers, nodeId),
      inSync: () => inSync(tools, bootstrapServers),
      stop,
      ...tools,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Fills `brokers` with those that are ready to be started. */
async function prepareBrokers(
  folder: string,
  classpath: string,
  options: KafkaClusterOptions,
  brokers: LocalBroker[],
): Promise<KafkaCertificates | undefined> {
  const listeners = options.listeners ?? [];
  const prepared = await prepareListeners(listeners, folder);
  const clusterId = newClusterId();
  const controllers = new Map<number, string>();
  for (let nodeId = 1; nodeId <= (options.brokers ?? brokersDefault); nodeId++) {
    controllers.set(nodeId, `127.0.0.1:${await freePort()}`);
  }
  const setups = [...controllers.keys()].map(async (nodeId) =>
    prepareBroker({
      classpath,
      folder: join(folder, `broker-${nodeId}`),
      clusterId,
      nodeId,
      controllers,
      bootstrapServers: `127.0.0.1:${await freePort()}`,
      listeners,
      addresses: await listenerAddresses(listeners),
      settings: { ...prepared.settings, ...options.settings },
      formatArgs: prepared.formatArgs,
      heapMb: options.heapMb ?? heapMbDefault,
    }),
  );
  brokers.push(...(await Promise.all(setups)));
  return prepared.certificates;
}

/** None is ready before most controllers are. All starts end before one that failed is told. */
async function startAll(brokers: readonly LocalBroker[]): Promise<void> {
  const starts = await Promise.allSettled(brokers.map((broker) => broker.start()));
  for (const start of starts) if (start.status === "rejected") throw start.reason;
}

async function inSync(tools: KafkaTools, bootstrapServers: string): Promise<void> {
  const giveUpAtMs = performance.now() + inSyncTimeoutMs;
  for (;;) {
    const { stdout, stderr, code } = await tools.tool("org.apache.kafka.tools.TopicCommand", [
      ...["--bootstrap-server", bootstrapServers],
      ...["--describe", "--under-replicated-partitions"],
    ]);
    if (code === 0 && stdout.trim() === "") return;
    if (performance.now() < giveUpAtMs) continue;
    const seconds = inSyncTimeoutMs / 1000;
    throw new Error(`not all replicas are in sync after ${seconds} s:\n${stdout}${stderr}`);
  }
}

function listenersOf(brokers: readonly LocalBroker[]): Record<string, string> {
  const names = Object.keys(brokers[0]?.listeners ?? {});
  return Object.fromEntries(
    names.map((name) => [name, brokers.map(({ listeners }) => listeners[name]).join(",")]),
  );
}

function brokerOf(brokers: readonly LocalBroker[], nodeId: number): LocalBroker {
  const found = brokers.find((broker) => broker.nodeId === nodeId);
  if (found === undefined) throw new Error(`the cluster has no broker ${nodeId}`);
  return found;
}
