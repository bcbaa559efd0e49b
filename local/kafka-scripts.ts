/** Kafka's own command line tools under the names that its distribution gives them. */
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { installKafka, kafkaVersion } from "#local/kafka-install.ts";

const tools = {
  "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
  "kafka-configs.sh": "kafka.admin.ConfigCommand",
  "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
  "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
  // It moved with Kafka 3.8.
  "kafka-consumer-groups.sh":
    kafkaVersion === "3.7.2"
      ? "kafka.admin.ConsumerGroupCommand"
      : "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  "kafka-get-offsets.sh": "org.apache.kafka.tools.GetOffsetShell",
  "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
  "kafka-dump-log.sh": "kafka.tools.DumpLogSegments",
};

/**
 * Installs Kafka where it is missing and returns a folder to put on the PATH. The scripts take
 * what those of the distribution take, KAFKA_HEAP_OPTS among it, so commands written for one work
 * with the other.
 */
export async function installKafkaScripts(): Promise<string> {
  const classpath = await installKafka();
  const folder = join(dirname(dirname(classpath)), "bin");
  await mkdir(folder, { recursive: true });
  const written = Object.entries(tools).map(([name, className]) =>
    writeScript(join(folder, name), scriptFor(className, classpath)),
  );
  await Promise.all(written);
  return folder;
}

/** The PATH with more folders in front. */
export function pathWith(...folders: string[]): string {
  return [...folders, process.env.PATH ?? ""].join(delimiter);
}

/** A tool lives for a second: the flags spare it the compiler and the collector of a server. */
function scriptFor(className: string, classpath: string): string {
  return `#!/bin/sh
exec java \${KAFKA_HEAP_OPTS:--Xmx512M} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \\
  -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp '${classpath.replaceAll("'", "'\\''")}' \\
  ${className} "$@"
`;
}

/** Appears whole: another demo may be about to run it. */
async function writeScript(file: string, text: string): Promise<void> {
  if ((await readFile(file, "utf8").catch(() => "")) === text) return;
  const partial = `${file}.${process.pid}`;
  await writeFile(partial, text);
  await chmod(partial, 0o755);
  await rename(partial, file);
}
