/** Java applications that read as consumer groups, and what they have read. */
import { kafkaForTests, type TestKafka } from "#test/support/kafka.ts";

const readGroupsFile = "test/support/java/ReadGroups.java";

export interface ReadRecord {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly value: string;
}

export interface Application {
  readonly group: string;
  readonly protocol: "classic" | "consumer";
  /** At most so many records of each partition. */
  readonly count: number | "end";
}

/**
 * Each application joins its group, reads on, commits and leaves. `none`: a partition in which
 * its group has committed nothing is an error.
 */
export async function readAs(
  applications: readonly Application[],
  topics: readonly string[],
  without: "earliest" | "none",
  kafka: Pick<TestKafka, "bootstrapServers" | "runJava"> = kafkaForTests(),
): Promise<ReadRecord[]> {
  const groups = applications.map(({ protocol, group, count }) => `${protocol}:${group}=${count}`);
  const args = [kafka.bootstrapServers, without, topics.join(","), ...groups];
  const { code, stdout, stderr } = await kafka.runJava(readGroupsFile, args);
  if (code !== 0) throw new Error(`${readGroupsFile} ended with ${code}:\n${stderr}`);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [group, topic, partition, offset, value] = line.split("\t");
    return {
      ...{ group: group!, topic: topic!, partition: Number(partition) },
      ...{ offset: BigInt(offset!), value: value! },
    };
  });
}

/** `partition value` of the records that a group has read, partition by partition. */
export function valuesOf(
  records: readonly ReadRecord[],
  group: string,
  topics?: readonly string[],
): string[] {
  return records
    .filter((one) => one.group === group && (topics?.includes(one.topic) ?? true))
    .toSorted((a, b) => a.partition - b.partition)
    .map(({ partition, value }) => `${partition} ${value}`);
}
