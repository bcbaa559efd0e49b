/** How large topics are on the brokers' disks. */
import type { TopicPartition } from "#core/kafka/cluster.ts";
import {
  type DescribeLogDirsResponse,
  describeLogDirs,
} from "#core/kafka/protocol/describe-log-dirs.ts";
import type { Session } from "#core/kafka/session.ts";

export async function logSizes(
  session: Session,
  topics: readonly string[],
): Promise<(TopicPartition & { bytes: bigint })[] | undefined> {
  return session.retrying(async () => {
    const { nodes, topics: described } = await session.refresh(topics);
    const answers = await Promise.all(
      nodes.map(async ({ nodeId, host, port }) => {
        const led = described
          .map(({ name, partitions }) => ({
            topic: name,
            partitions: partitions
              .filter(({ leader }) => leader === nodeId)
              .map(({ partition }) => partition),
          }))
          .filter(({ partitions }) => partitions.length > 0);
        if (led.length === 0) return [];
        const request = { topics: led };
        const address = { host, port };
        const answer = await session.connections.call(address, "admin", describeLogDirs, request);
        return sizesIn(answer);
      }),
    );
    return answers.includes(undefined) ? undefined : answers.flatMap((sizes) => sizes ?? []);
  });
}

function sizesIn({ logDirs }: DescribeLogDirsResponse) {
  if (logDirs.length === 0) return undefined;
  return logDirs.flatMap(({ replicas }) =>
    replicas
      .filter(({ future }) => !future)
      .map(({ topic, partition, bytes }) => ({ topic, partition, bytes })),
  );
}
