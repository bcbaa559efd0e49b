/** Live members of consumer groups: Kafka's own consumers, in a Java process. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProcess } from "#local/processes.ts";
import { kafkaForTests, type TestKafka } from "#test/support/kafka.ts";

export interface HeldGroups {
  /** The members leave their groups. */
  release(): Promise<void>;
}

/**
 * Has a consumer join each group and wait: `classic:GROUP`, `consumer:GROUP` (KIP-848),
 * `share:GROUP`. That text is its client id.
 */
export async function holdGroups(
  topic: string,
  members: readonly string[],
  kafka: Pick<TestKafka, "bootstrapServers" | "classpath"> = kafkaForTests(),
): Promise<HeldGroups> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-members-"));
  const logFile = join(folder, "members.log");
  const program = "test/support/java/HoldGroup.java";
  const running = await startProcess({
    name: "members",
    command: "java",
    args: [
      ...["-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"],
      ...["-cp", kafka.classpath, program, kafka.bootstrapServers, topic, ...members],
    ],
    logFile,
    ready: async () => /^held$/m.test(await readFile(logFile, "utf8")),
    readyTimeoutMs: 60_000,
  });
  return {
    async release() {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
