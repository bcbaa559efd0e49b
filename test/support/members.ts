/** Live members of consumer groups: Kafka's own consumers, in a Java process. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileJava } from "#local/java-programs.ts";
import { installKafkaStreams } from "#local/kafka-install.ts";
import { startProcess } from "#local/processes.ts";
import { isKafka4OrLater, kafkaForTests, type TestKafka } from "#test/support/kafka.ts";

export interface HeldGroups {
  /** The members leave their groups. */
  release(): Promise<void>;
}

type Kafka = Pick<TestKafka, "bootstrapServers" | "classpath">;

/** Whether the broker has groups of the protocols of KIP-848, KIP-932 and KIP-1071. */
export const hasNewProtocols = isKafka4OrLater;

/** Of the groups that `holdGroups` can hold on the broker. */
export const memberProtocols = hasNewProtocols ? ["classic", "consumer"] : ["classic"];

/**
 * Has a consumer join each group and wait: `classic:GROUP`, `consumer:GROUP` (KIP-848). That text
 * is its client id.
 */
export async function holdGroups(
  topic: string,
  members: readonly string[],
  kafka: Kafka = kafkaForTests(),
): Promise<HeldGroups> {
  const args = [kafka.bootstrapServers, topic, ...members];
  return hold(kafka.classpath, "test/support/java/HoldGroup.java", () => args);
}

/** Has a share consumer join a share group (KIP-932). */
export async function holdShare(
  topic: string,
  group: string,
  kafka: Kafka = kafkaForTests(),
): Promise<HeldGroups> {
  const args = [kafka.bootstrapServers, topic, group];
  return hold(kafka.classpath, "test/support/java/HoldShare.java", () => args);
}

/** Has a Kafka Streams application of the Streams protocol (KIP-1071) be its own group. */
export async function holdStreams(
  topic: string,
  group: string,
  kafka: Kafka = kafkaForTests(),
): Promise<HeldGroups> {
  const classpath = await installKafkaStreams();
  const args = (folder: string) => [kafka.bootstrapServers, topic, group, folder];
  return hold(classpath, "test/support/java/HoldStreams.java", args);
}

async function hold(
  classpath: string,
  program: string,
  args: (folder: string) => readonly string[],
): Promise<HeldGroups> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-members-"));
  const { className, classpath: classes } = await compileJava(program, classpath);
  const logFile = join(folder, "members.log");
  const running = await startProcess({
    name: "members",
    command: "java",
    args: [
      ...["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      ...["-cp", classes, className, ...args(folder)],
    ],
    logFile,
    ready: async () => /^held$/m.test(await readFile(logFile, "utf8")),
    readyTimeoutMs: 120_000,
  });
  return {
    async release() {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
