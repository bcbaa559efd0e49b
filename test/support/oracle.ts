/** What Kafka's own read_committed consumer sees: the judge of every restore. */
import { kafkaForTests, type TestKafka } from "#test/support/kafka.ts";

const printRecords = "local/java/PrintRecords.java";
const makeTraffic = "test/support/java/MakeTraffic.java";

/** By `topic/partition`: count and SHA-256 of all that a consumer sees but the offsets. */
export async function contentsOf(
  topics: readonly string[],
  kafka: Pick<TestKafka, "bootstrapServers" | "runJava"> = kafkaForTests(),
): Promise<Map<string, string>> {
  const stdout = await run(kafka, printRecords, [kafka.bootstrapServers, "digest", ...topics]);
  const rows = stdout.split("\n").filter((line) => line !== "");
  return new Map(
    rows.map((row) => {
      const [topic, partition, count, sha256] = row.split("\t");
      return [`${topic}/${partition}`, `${count} records ${sha256}`];
    }),
  );
}

export interface SeenRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly timestamp: bigint;
  /** Key, value and headers as the oracle writes them. */
  readonly content: string;
}

/** A line of `PrintRecords.java` for each record that a consumer sees. */
export async function linesOf(
  topics: readonly string[],
  kafka: Pick<TestKafka, "bootstrapServers" | "runJava"> = kafkaForTests(),
): Promise<string[]> {
  const stdout = await run(kafka, printRecords, [kafka.bootstrapServers, "lines", ...topics]);
  return stdout.split("\n").filter((line) => line !== "");
}

/** Every record that a consumer sees, in the order of topics, partitions and offsets. */
export async function recordsOf(
  topics: readonly string[],
  kafka: Pick<TestKafka, "bootstrapServers" | "runJava"> = kafkaForTests(),
): Promise<SeenRecord[]> {
  const lines = await linesOf(topics, kafka);
  return lines.map((line) => {
    const [topic, partition, offset, timestamp, ...content] = line.split("\t");
    return {
      topic: topic!,
      partition: Number(partition),
      offset: BigInt(offset!),
      timestamp: BigInt(timestamp!),
      content: content.join("\t"),
    };
  });
}

/** Has Kafka's own producer write scenarios (`MakeTraffic.java`) to topics that exist. */
export async function produceTraffic(
  scenarios: readonly (readonly [scenario: string, topic: string])[],
  kafka: Pick<TestKafka, "bootstrapServers" | "runJava"> = kafkaForTests(),
): Promise<void> {
  const args = scenarios.map(([scenario, topic]) => `${scenario}:${topic}`);
  await run(kafka, makeTraffic, [kafka.bootstrapServers, ...args]);
}

async function run(
  kafka: Pick<TestKafka, "runJava">,
  file: string,
  args: readonly string[],
): Promise<string> {
  const { code, stdout, stderr } = await kafka.runJava(file, args);
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${stderr}`);
  return stdout;
}
