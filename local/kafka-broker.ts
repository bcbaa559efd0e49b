/** One broker (KRaft, broker and controller in one process) of a local Kafka: its files, its life. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type KafkaListener, tokenJvmArgs } from "#local/kafka-listeners.ts";
import { type RunningProcess, runToEnd, startProcess } from "#local/processes.ts";

export interface BrokerSetup {
  readonly classpath: string;
  /** Of this broker alone; created where it is missing. */
  readonly folder: string;
  readonly clusterId: string;
  readonly nodeId: number;
  /** `host:port` of every node's controller listener, by node id. */
  readonly controllers: ReadonlyMap<number, string>;
  /** `host:port` of the plaintext listener. */
  readonly bootstrapServers: string;
  /** The listeners beside it, and `host:port` of each by its name. */
  readonly listeners: readonly KafkaListener[];
  readonly addresses: Readonly<Record<string, string>>;
  /** Settings over those of a small broker. */
  readonly settings: Readonly<Record<string, string>>;
  /** Further arguments of the storage tool. */
  readonly formatArgs: readonly string[];
  readonly heapMb: number;
}

export interface LocalBroker {
  readonly nodeId: number;
  /** `host:port` of the plaintext listener. */
  readonly bootstrapServers: string;
  /** `host:port` of each extra listener by its name. */
  readonly listeners: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** The broker's log folder: `TOPIC-PARTITION/*.log`. */
  readonly dataDir: string;
  /** Of the process that runs, or ran last. */
  pid(): number;
  /** Starts it on its data and ports, with a new log file; resolves when it takes requests. */
  start(): Promise<void>;
  /** Hands its leaderships over and ends it (SIGTERM). Its data stays. Idempotent. */
  stop(): Promise<void>;
  /** Ends it on the spot, or by another signal. Its data stays. Idempotent. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

const formatHeapMb = 256;
const readyTimeoutMs = 120_000;

/** What a broker on one small machine needs changed from Kafka's defaults. */
export const smallBrokerSettings = {
  "offsets.topic.num.partitions": "4",
  "transaction.state.log.num.partitions": "4",
  "share.coordinator.state.topic.num.partitions": "4",
  "group.initial.rebalance.delay.ms": "0",
  "auto.create.topics.enable": "false",
  // Retention and compaction are seen within seconds. Kafka's default retention of 7 days stays:
  // records with older timestamps are deleted at once, unless their topic has retention.ms=-1.
  "log.retention.check.interval.ms": "1000",
  "log.cleaner.backoff.ms": "1000",
  "log.initial.task.delay.ms": "500",
  // A broker that was killed is let in again once its old session is over.
  "broker.session.timeout.ms": "1500",
  "broker.heartbeat.interval.ms": "300",
  // The cleaner's buffer is taken from the heap at start.
  "log.cleaner.dedupe.buffer.size": String(16 * 1024 * 1024),
} as const;

/** Replicas of Kafka's own topics; a broker of three may be away without hindering them. */
export function internalTopicSettings(brokers: number): Record<string, string> {
  const replicas = String(Math.min(brokers, 3));
  const inSyncMin = String(Math.min(brokers, 2));
  return {
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSyncMin,
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": inSyncMin,
  };
}

/** Writes its properties and formats its log folder; `start` is still to be called. */
export async function prepareBroker(setup: BrokerSetup): Promise<LocalBroker> {
  const { classpath, folder, nodeId } = setup;
  const dataDir = join(folder, "data");
  const logFile = join(folder, "server.log");
  const propertiesFile = join(folder, "server.properties");
  await mkdir(folder, { recursive: true });
  const settings = {
    ...listenerSettings(setup),
    ...smallBrokerSettings,
    ...internalTopicSettings(setup.controllers.size),
    "log.dirs": dataDir,
    ...setup.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(propertiesFile, lines.join(""), { mode: 0o600 });
  await runToEnd("java", [
    ...jvmArgs(classpath, formatHeapMb),
    ...["kafka.tools.StorageTool", "format", "-t", setup.clusterId, "-c", propertiesFile],
    ...setup.formatArgs,
  ]);
  let running: RunningProcess | undefined;
  return {
    nodeId,
    bootstrapServers: setup.bootstrapServers,
    listeners: setup.addresses,
    logFile,
    dataDir,
    pid() {
      if (running === undefined) throw new Error(`broker ${nodeId} was never started`);
      return running.pid;
    },
    async start() {
      await rm(logFile, { force: true });
      running = await startProcess({
        name: `kafka broker ${nodeId}`,
        command: "java",
        args: [...serverArgs(setup), "kafka.Kafka", propertiesFile],
        logFile,
        ready: async () => (await readFile(logFile, "utf8")).includes("Kafka Server started"),
        readyTimeoutMs,
      });
    },
    stop: async () => running?.stop(),
    kill: async (signal = "SIGKILL") => running?.stop(signal),
  };
}

function listenerSettings(setup: BrokerSetup): Record<string, string> {
  const { nodeId, controllers, bootstrapServers, addresses, listeners } = setup;
  const open = [
    `PLAINTEXT://${bootstrapServers}`,
    ...Object.entries(addresses).map(([name, address]) => `${name}://${address}`),
  ];
  const protocols = [
    "PLAINTEXT:PLAINTEXT",
    "CONTROLLER:PLAINTEXT",
    ...listeners.map(({ name, protocol }) => `${name}:${protocol}`),
  ];
  const voters = [...controllers].map(([id, address]) => `${id}@${address}`);
  return {
    "process.roles": "broker,controller",
    "node.id": String(nodeId),
    "controller.quorum.voters": voters.join(","),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    listeners: [...open, `CONTROLLER://${controllers.get(nodeId)}`].join(","),
    "advertised.listeners": open.join(","),
    "listener.security.protocol.map": [...new Set(protocols)].join(","),
  };
}

function serverArgs({ classpath, heapMb, listeners }: BrokerSetup): string[] {
  return [...tokenJvmArgs(listeners), ...jvmArgs(classpath, heapMb, "info")];
}

export function jvmArgs(classpath: string, heapMb: number, logLevel = "warn"): string[] {
  return [
    `-Xmx${heapMb}m`,
    "-Djava.awt.headless=true",
    `-Dorg.slf4j.simpleLogger.defaultLogLevel=${logLevel}`,
    ...["-cp", classpath],
  ];
}

/** 16 random bytes in URL-safe base64, as Kafka prints ids; never one with a leading dash. */
export function newClusterId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const id = Buffer.from(bytes).toString("base64url");
  return id.startsWith("-") ? newClusterId() : id;
}
