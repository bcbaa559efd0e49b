/** A Kafka of two brokers, for what one cannot show: groups that another broker coordinates. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, type RunningProcess, runToEnd, startProcess } from "#local/processes.ts";
import { kafkaForTests } from "#test/support/kafka.ts";

export interface TwoBrokers {
  /** Of the first one. */
  readonly bootstrapServers: string;
  readonly second: Pick<RunningProcess, "pid" | "stop">;
  stop(): Promise<void>;
}

/** The first broker is the controller too. Groups are parted among both, without replicas. */
export async function startTwoBrokers(): Promise<TwoBrokers> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-two-brokers-"));
  const clusterId = `A${randomBytes(16).toString("base64url").slice(1)}`;
  const controller = `127.0.0.1:${await freePort()}`;
  const listeners = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const brokers: RunningProcess[] = [];
  const stop = async () => {
    await Promise.all(brokers.map((broker) => broker.stop("SIGKILL")));
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    for (const [index, listener] of listeners.entries()) {
      brokers.push(
        await startBroker(
          join(folder, `broker-${index + 1}`),
          {
            "process.roles": index === 0 ? "broker,controller" : "broker",
            "node.id": String(index + 1),
            "controller.quorum.voters": `1@${controller}`,
            "controller.listener.names": "CONTROLLER",
            listeners: [
              `PLAINTEXT://${listener}`,
              ...(index === 0 ? [`CONTROLLER://${controller}`] : []),
            ].join(","),
            "advertised.listeners": `PLAINTEXT://${listener}`,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "broker.session.timeout.ms": "1500",
            "broker.heartbeat.interval.ms": "300",
            "log.cleaner.dedupe.buffer.size": String(16 * 1024 * 1024),
          },
          clusterId,
        ),
      );
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { bootstrapServers: listeners[0]!, second: brokers[1]!, stop };
}

async function startBroker(
  stem: string,
  settings: Readonly<Record<string, string>>,
  clusterId: string,
): Promise<RunningProcess> {
  const { classpath } = kafkaForTests();
  const propertiesFile = `${stem}.properties`;
  const logFile = `${stem}.log`;
  const all = { ...settings, "log.dirs": `${stem}-data` };
  const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(propertiesFile, lines.join(""));
  const jvm = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-cp", classpath];
  await runToEnd("java", [
    ...["-Xmx256m", ...jvm, "kafka.tools.StorageTool"],
    ...["format", "-t", clusterId, "-c", propertiesFile],
  ]);
  return startProcess({
    name: "kafka",
    command: "java",
    args: ["-Xmx512m", ...jvm, "kafka.Kafka", propertiesFile],
    logFile,
    ready: async () => (await readFile(logFile, "utf8")).includes("Kafka Server started"),
    readyTimeoutMs: 120_000,
  });
}
