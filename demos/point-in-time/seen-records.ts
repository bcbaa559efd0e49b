/** What Kafka's own consumer, reading committed records only, finds in topics. */
import { fileURLToPath } from "node:url";
import type { LocalKafka } from "#local/kafka.ts";

export interface SeenRecord {
  readonly partition: number;
  readonly offset: bigint;
  /** Milliseconds. */
  readonly timestamp: bigint;
  /** Timestamp, key, value and headers, byte for byte: all but the offset. */
  readonly content: string;
  readonly isFaulty: boolean;
}

const printRecords = fileURLToPath(new URL("../../local/java/PrintRecords.java", import.meta.url));
const hex = (text: string) => `${text.length}:${Buffer.from(text).toString("hex")}`;
const faultyMark = `${hex("release")}=${hex("2.8.0")}`;

/** By topic, in the order of partitions and offsets. */
export async function recordsOf(
  kafka: LocalKafka,
  topics: readonly string[],
): Promise<Map<string, SeenRecord[]>> {
  const args = [kafka.bootstrapServers, "lines", ...topics];
  const { code, stdout, stderr } = await kafka.runJava(printRecords, args);
  if (code !== 0) throw new Error(`PrintRecords ended with ${code}:\n${stderr}`);
  const records = new Map<string, SeenRecord[]>(topics.map((topic) => [topic, []]));
  for (const line of stdout.split("\n")) {
    if (line === "") continue;
    const [topic, partition, offset, ...content] = line.split("\t");
    const [timestamp, , , headers] = content;
    records.get(topic!)!.push({
      partition: Number(partition),
      offset: BigInt(offset!),
      timestamp: BigInt(timestamp!),
      content: content.join("\t"),
      isFaulty: headers === faultyMark,
    });
  }
  return records;
}
