/** `topic-partition`, as snapshots and `cluster.json` name partitions. */
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { checkTopicName } from "#core/storage/keys.ts";

const namePattern = /^(.+)-(0|[1-9]\d{0,9})$/;
const partitionMax = 2 ** 31 - 1;

export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

/** The other way. Throws InvalidRequestError for what names no partition. */
export function partitionNamed(name: string): TopicPartition {
  const [, topic = "", digits = ""] = namePattern.exec(name) ?? [];
  const partition = Number(digits);
  // An empty topic is refused like any other that Kafka would not take.
  checkTopicName(partition <= partitionMax ? topic : "");
  return { topic, partition };
}

/** Ascending by topic, then by partition. */
export function byPlace(one: TopicPartition, other: TopicPartition): number {
  if (one.topic !== other.topic) return one.topic < other.topic ? -1 : 1;
  return one.partition - other.partition;
}
