/** A real one-node Apache Kafka (KRaft) on loopback ports, for demos, tests and the benchmark. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { compileJava } from "#local/java-programs.ts";
import { installKafka } from "#local/kafka-install.ts";
import {
  type KafkaCertificates,
  type KafkaListener,
  prepareListeners,
} from "#local/kafka-listeners.ts";
import {
  freePort,
  type RunningProcess,
  runToEnd,
  startProcess,
  wantedPort,
} from "#local/processes.ts";

export interface KafkaOptions {
  /** Broker settings that replace or add to those of a small cluster. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The JVM's heap; 1024 MB when not given. */
  readonly heapMb?: number;
  /** Of the plaintext listener; any free one when not given. */
  readonly port?: number | undefined;
  /** Listeners beside the plaintext one. */
  readonly listeners?: readonly KafkaListener[];
}

export interface ToolOutput {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Kafka's own tools and client, as oracles. Each call starts a JVM, which takes about a second. */
export interface KafkaTools {
  /** Runs one of Kafka's own tools: `org.apache.kafka.tools.DumpLogSegments` … */
  tool(
    className: string,
    args: readonly string[],
    options?: { readonly stdin?: string | Buffer },
  ): Promise<ToolOutput>;
  /** Runs a Java program of one source file with Kafka's client on its class path. */
  runJava(
    sourceFile: string,
    args: readonly string[],
    options?: { readonly stdin?: string | Buffer },
  ): Promise<ToolOutput>;
}

export interface LocalKafka extends KafkaTools {
  /** `host:port` of the plaintext listener. */
  readonly bootstrapServers: string;
  /** `host:port` of each extra listener by its name. */
  readonly listeners: Readonly<Record<string, string>>;
  /** Where a listener has TLS. */
  readonly certificates: KafkaCertificates | undefined;
  /** Kafka's jars, for `java -cp`. */
  readonly classpath: string;
  readonly logFile: string;
  /** The broker's log folder: `TOPIC-PARTITION/*.log`. */
  readonly dataDir: string;
  /** Of the broker that runs now: `restart` changes it. */
  pid(): number;
  /** Ends the broker and removes its data. */
  stop(): Promise<void>;
  /** Ends the broker by `signal` and keeps its data; `restart` brings it back. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts the broker again on its data and ports; one that runs is shut down cleanly first. */
  restart(): Promise<void>;
}

const heapMbDefault = 1024;
const toolHeapMb = 512;
const readyTimeoutMs = 120_000;

/** What a broker on one small machine needs changed from Kafka's defaults. */
const smallClusterSettings = {
  "offsets.topic.replication.factor": "1",
  "offsets.topic.num.partitions": "4",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "transaction.state.log.num.partitions": "4",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
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

/** Starts a broker; the first time on a machine it installs Kafka. */
export async function startKafka(options: KafkaOptions = {}): Promise<LocalKafka> {
  const classpath = await installKafka();
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-kafka-"));
  try {
    return await startIn(folder, classpath, options);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(
  folder: string,
  classpath: string,
  options: KafkaOptions,
): Promise<LocalKafka> {
  const bootstrapServers = `127.0.0.1:${await wantedPort(options.port)}`;
  const dataDir = join(folder, "data");
  const propertiesFile = join(folder, "server.properties");
  const logFile = join(folder, "server.log");
  const listeners = await prepareListeners(options.listeners ?? [], folder);
  const settings = {
    ...listenerSettings(bootstrapServers, `127.0.0.1:${await freePort()}`, options, listeners),
    ...smallClusterSettings,
    "log.dirs": dataDir,
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(propertiesFile, lines.join(""), { mode: 0o600 });
  await runToEnd("java", [
    ...jvmArgs(classpath, 256),
    ...["kafka.tools.StorageTool", "format", "-t", newClusterId(), "-c", propertiesFile],
    ...listeners.formatArgs,
  ]);
  const heapMb = options.heapMb ?? heapMbDefault;
  const start = () => startBroker(classpath, heapMb, propertiesFile, logFile);
  let broker = await start();
  return {
    bootstrapServers,
    listeners: listeners.addresses,
    certificates: listeners.certificates,
    classpath,
    logFile,
    dataDir,
    pid: () => broker.pid,
    async stop() {
      // Its data goes, so there is nothing that a clean shutdown would save.
      await broker.stop("SIGKILL");
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
    kill: (signal) => broker.stop(signal),
    async restart() {
      await broker.stop();
      await rm(logFile, { force: true });
      broker = await start();
    },
    ...kafkaTools(classpath),
  };
}

/** Kafka's tools on the class path of `installKafka`. */
export function kafkaTools(classpath: string): KafkaTools {
  return {
    tool: (className, args, { stdin } = {}) =>
      runJvm([...toolArgs(classpath), className, ...args], stdin),
    async runJava(sourceFile, args, { stdin } = {}) {
      const program = await compileJava(sourceFile, classpath);
      return runJvm([...toolArgs(program.classpath), program.className, ...args], stdin);
    },
  };
}

function listenerSettings(
  bootstrapServers: string,
  controller: string,
  options: KafkaOptions,
  { addresses, settings }: Awaited<ReturnType<typeof prepareListeners>>,
): Record<string, string> {
  const open = [
    `PLAINTEXT://${bootstrapServers}`,
    ...Object.entries(addresses).map(([name, address]) => `${name}://${address}`),
  ];
  const protocols = [
    "PLAINTEXT:PLAINTEXT",
    "CONTROLLER:PLAINTEXT",
    ...(options.listeners ?? []).map(({ name, protocol }) => `${name}:${protocol}`),
  ];
  return {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@${controller}`,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    listeners: [...open, `CONTROLLER://${controller}`].join(","),
    "advertised.listeners": open.join(","),
    "listener.security.protocol.map": [...new Set(protocols)].join(","),
    ...settings,
  };
}

function startBroker(
  classpath: string,
  heapMb: number,
  propertiesFile: string,
  logFile: string,
): Promise<RunningProcess> {
  return startProcess({
    name: "kafka",
    command: "java",
    args: [...jvmArgs(classpath, heapMb, "info"), "kafka.Kafka", propertiesFile],
    logFile,
    ready: async () => (await readFile(logFile, "utf8")).includes("Kafka Server started"),
    readyTimeoutMs,
  });
}

function jvmArgs(classpath: string, heapMb: number, logLevel = "warn"): string[] {
  return [
    `-Xmx${heapMb}m`,
    "-Djava.awt.headless=true",
    `-Dorg.slf4j.simpleLogger.defaultLogLevel=${logLevel}`,
    ...["-cp", classpath],
  ];
}

/** For what lives a second or two: a second compiler and a parallel collector only cost it time. */
function toolArgs(classpath: string): string[] {
  const quickly = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
  return [...quickly, ...jvmArgs(classpath, toolHeapMb)];
}

/** 16 random bytes in URL-safe base64, as Kafka prints ids; never one with a leading dash. */
function newClusterId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const id = Buffer.from(bytes).toString("base64url");
  return id.startsWith("-") ? newClusterId() : id;
}

async function runJvm(args: string[], stdin: string | Buffer = ""): Promise<ToolOutput> {
  const child = spawn("java", args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {}); // A tool may end before it has read all of its input.
  child.stdin.end(stdin);
  const exit = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? -1));
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { stdout, stderr, code };
}
