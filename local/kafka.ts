/** A real one-node Apache Kafka (KRaft) on loopback ports, for demos, tests and the benchmark. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { compileJava } from "#local/java-programs.ts";
import { jvmArgs, newClusterId, prepareBroker } from "#local/kafka-broker.ts";
import type { KafkaCertificates } from "#local/kafka-certificates.ts";
import { installKafka } from "#local/kafka-install.ts";
import { type KafkaListener, listenerAddresses, prepareListeners } from "#local/kafka-listeners.ts";
import { freePort, wantedPort } from "#local/processes.ts";

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
  const listeners = options.listeners ?? [];
  const prepared = await prepareListeners(listeners, folder);
  const broker = await prepareBroker({
    classpath,
    folder,
    clusterId: newClusterId(),
    nodeId: 1,
    controllers: new Map([[1, `127.0.0.1:${await freePort()}`]]),
    bootstrapServers,
    listeners,
    addresses: await listenerAddresses(listeners),
    settings: { ...prepared.settings, ...options.settings },
    formatArgs: prepared.formatArgs,
    heapMb: options.heapMb ?? heapMbDefault,
  });
  await broker.start();
  const { logFile, dataDir, pid, kill } = broker;
  return {
    bootstrapServers,
    listeners: broker.listeners,
    certificates: prepared.certificates,
    classpath,
    logFile,
    dataDir,
    pid,
    async stop() {
      // Its data goes, so there is nothing that a clean shutdown would save.
      await kill();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
    kill,
    async restart() {
      await broker.stop();
      await broker.start();
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

/** For what lives a second or two: a second compiler and a parallel collector only cost it time. */
function toolArgs(classpath: string): string[] {
  const quickly = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
  return [...quickly, ...jvmArgs(classpath, toolHeapMb)];
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
