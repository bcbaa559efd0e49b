/**
 * Kafka 3.7 as it ran before KRaft: one broker that keeps its metadata in ZooKeeper and speaks the
 * inter-broker protocol of 2.8, the last one by which `message.format.version` makes brokers write
 * the formats before record batches. 3.0's protocol passes it over (KIP-724); 4.0 has neither.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KafkaTools, kafkaTools } from "#local/kafka.ts";
import { internalTopicSettings, jvmArgs, smallBrokerSettings } from "#local/kafka-broker.ts";
import { installKafka, type KafkaVersion } from "#local/kafka-install.ts";
import { freePort, type RunningProcess, startProcess } from "#local/processes.ts";

export interface KafkaOnZookeeper extends KafkaTools {
  /** `host:port` of the plaintext listener. */
  readonly bootstrapServers: string;
  /** The broker's log folder: `TOPIC-PARTITION/*.log`. */
  readonly dataDir: string;
  readonly logFile: string;
  /** Ends both processes and removes their data. */
  stop(): Promise<void>;
}

export const kafkaOnZookeeperVersion: KafkaVersion = "3.7.2";

const zookeeperHeapMb = 128;
const brokerHeapMb = 512;
const readyTimeoutMs = 120_000;

/** Starts both; the first time on a machine it installs Kafka, ZooKeeper among what it needs. */
export async function startKafkaOnZookeeper(): Promise<KafkaOnZookeeper> {
  const classpath = await installKafka(kafkaOnZookeeperVersion);
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-kafka-zookeeper-"));
  const running: RunningProcess[] = [];
  const stop = async () => {
    // The broker first: one that has lost its ZooKeeper waits for it.
    for (const each of running.toReversed()) await each.stop("SIGKILL");
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const zookeeperPort = await freePort();
    running.push(await startZookeeper(classpath, folder, zookeeperPort));
    const bootstrapServers = `127.0.0.1:${await freePort()}`;
    const files = { dataDir: join(folder, "data"), logFile: join(folder, "server.log") };
    const settings = {
      ...smallBrokerSettings,
      ...internalTopicSettings(1),
      "broker.id": "1",
      "zookeeper.connect": `127.0.0.1:${zookeeperPort}`,
      "inter.broker.protocol.version": "2.8",
      listeners: `PLAINTEXT://${bootstrapServers}`,
      "log.dirs": files.dataDir,
    };
    running.push(await startBroker(classpath, folder, settings, files.logFile));
    return { bootstrapServers, ...files, stop, ...kafkaTools(classpath) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startZookeeper(
  classpath: string,
  folder: string,
  port: number,
): Promise<RunningProcess> {
  const file = await writeProperties(join(folder, "zookeeper.properties"), {
    dataDir: join(folder, "zookeeper"),
    clientPort: String(port),
    clientPortAddress: "127.0.0.1",
    "admin.enableServer": "false",
    maxClientCnxns: "0",
  });
  return startProcess({
    name: "zookeeper",
    command: "java",
    args: [
      ...jvmArgs(classpath, zookeeperHeapMb),
      ...["org.apache.zookeeper.server.quorum.QuorumPeerMain", file],
    ],
    logFile: join(folder, "zookeeper.log"),
    ready: () => takesConnections(port),
    readyTimeoutMs,
  });
}

async function startBroker(
  classpath: string,
  folder: string,
  settings: Readonly<Record<string, string>>,
  logFile: string,
): Promise<RunningProcess> {
  const file = await writeProperties(join(folder, "server.properties"), settings);
  return startProcess({
    name: `kafka ${kafkaOnZookeeperVersion} on zookeeper`,
    command: "java",
    args: [...jvmArgs(classpath, brokerHeapMb, "info"), "kafka.Kafka", file],
    logFile,
    ready: async () => / \[KafkaServer id=1\] started/.test(await readFile(logFile, "utf8")),
    readyTimeoutMs,
  });
}

async function writeProperties(
  file: string,
  settings: Readonly<Record<string, string>>,
): Promise<string> {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(file, lines.join(""));
  return file;
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
