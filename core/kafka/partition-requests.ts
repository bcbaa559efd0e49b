/** Requests about single partitions, sent to their leaders: offsets, epochs, transactions. */
import { BackupError, isRetryable } from "#core/errors.ts";
import { addressOf } from "#core/kafka/broker-connection.ts";
import type { Cluster, OffsetSpec, OpenTransaction, TopicPartition } from "#core/kafka/cluster.ts";
import { kafkaError, kafkaErrorName } from "#core/kafka/kafka-errors.ts";
import { describeProducers } from "#core/kafka/protocol/describe-producers.ts";
import {
  earliestTimestamp,
  type ListOffsetsRequest,
  latestTimestamp,
  listOffsets as listOffsetsApi,
} from "#core/kafka/protocol/list-offsets.ts";
import { offsetForLeaderEpoch } from "#core/kafka/protocol/offset-for-leader-epoch.ts";
import type { Leader, Session } from "#core/kafka/session.ts";

type ListedOffset = Awaited<ReturnType<Cluster["listOffsets"]>>[number];

/**
 * The failure of a request to a partition's leader. A broker that does not know the partition may
 * be one that no longer, or not yet, leads it: only metadata says that a topic does not exist.
 */
export function partitionError(
  code: number,
  api: string,
  { topic, partition }: TopicPartition,
  options: { where?: string; message?: string | null; needs?: string; offset?: bigint } = {},
): BackupError {
  const what = `${api} ${topic}-${partition}${options.where ?? ""}`;
  const details = {
    topic,
    partition,
    ...(options.offset === undefined ? {} : { offset: options.offset }),
  };
  const kafkaName = kafkaErrorName(code);
  if (kafkaName === "UNKNOWN_TOPIC_OR_PARTITION") {
    return new BackupError("BrokerUnavailableError", `${what}: ${kafkaName}`, {
      details: { ...details, kafka_error: kafkaName },
    });
  }
  const needs = options.needs ?? `Describe on topic ${topic}`;
  return kafkaError({ code, what, message: options.message, needs, details });
}

function listRequest(at: OffsetSpec): Omit<ListOffsetsRequest, "topics"> {
  if (at === "earliest") return { isolation: "read_uncommitted", timestamp: earliestTimestamp };
  if (at === "lastStable") return { isolation: "read_committed", timestamp: latestTimestamp };
  if (at === "highWatermark") return { isolation: "read_uncommitted", timestamp: latestTimestamp };
  return { isolation: "read_uncommitted", timestamp: at.timestamp };
}

/** One request per broker; partitions that fail for a moment are asked for again. */
export async function listOffsets(
  session: Session,
  partitions: readonly TopicPartition[],
  at: OffsetSpec,
): Promise<ListedOffset[]> {
  const done = new Map<string, ListedOffset>();
  const keyOf = ({ topic, partition }: TopicPartition) => `${topic}-${partition}`;
  let waiting = partitions;
  const round = async () => {
    const answers = await listOnce(session, waiting, at);
    for (const answer of answers) done.set(keyOf(answer), answer);
    const passing = answers.filter((answer) => "error" in answer && isRetryable(answer.error));
    waiting = passing;
    for (const answer of passing) if ("error" in answer) throw answer.error;
  };
  // What still fails in the end stands in the partitions' results.
  await session.retrying(round).catch(() => session.connections.signal.throwIfAborted());
  return partitions.map((partition) => done.get(keyOf(partition))!);
}

async function listOnce(
  session: Session,
  partitions: readonly TopicPartition[],
  at: OffsetSpec,
): Promise<ListedOffset[]> {
  const results: ListedOffset[] = [];
  const byLeader = new Map<string, { leader: Leader; partitions: TopicPartition[] }>();
  for (const { topic, partition } of partitions) {
    try {
      const leader = await session.leaderOf({ topic, partition });
      const address = addressOf(leader.address);
      const group = byLeader.get(address) ?? { leader, partitions: [] };
      byLeader.set(address, group);
      group.partitions.push({ topic, partition });
    } catch (error) {
      results.push({ topic, partition, error: error as Error });
    }
  }
  const groups = [...byLeader.values()].map(async (group) => {
    try {
      return await listOnLeader(session, group.leader, group.partitions, at);
    } catch (error) {
      for (const { topic } of group.partitions) session.forget(topic);
      return group.partitions.map((asked) => ({ ...asked, error: error as Error }));
    }
  });
  return [...results, ...(await Promise.all(groups)).flat()];
}

async function listOnLeader(
  session: Session,
  leader: Leader,
  partitions: readonly TopicPartition[],
  at: OffsetSpec,
): Promise<ListedOffset[]> {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  const request: ListOffsetsRequest = {
    ...listRequest(at),
    topics: [...byTopic].map(([topic, asked]) => ({
      topic,
      partitions: asked.map(({ partition }) => partition),
    })),
  };
  const answer = await session.connections.call(leader.address, "admin", listOffsetsApi, request);
  return answer.partitions.map(({ topic, partition, errorCode, offset, leaderEpoch }) => {
    if (errorCode === 0) return { topic, partition, offset, leaderEpoch };
    session.forget(topic);
    const error = partitionError(errorCode, "ListOffsets", { topic, partition });
    return { topic, partition, error };
  });
}

export async function endOffsetOfEpoch(
  session: Session,
  at: TopicPartition,
  leaderEpoch: number,
): Promise<{ leaderEpoch: number; endOffset: bigint }> {
  return session.onLeader(at, (leader) => endOnLeader(session, leader, at, -1, leaderEpoch));
}

export async function logEndOffset(
  session: Session,
  at: TopicPartition,
): Promise<{ leaderEpoch: number; endOffset: bigint }> {
  return session.onLeader(at, async (leader) => {
    const { leaderEpoch } = leader;
    try {
      const end = await endOnLeader(session, leader, at, leaderEpoch, leaderEpoch);
      if (end.endOffset >= 0n) return end;
    } catch (error) {
      throw staleEpoch(error);
    }
    const where = `${at.topic}-${at.partition}`;
    const problem = `the leader does not know where its epoch ${leaderEpoch} ends yet`;
    throw new BackupError("BrokerUnavailableError", `${where}: ${problem}`, {
      hint: noEpochsHint,
    });
  });
}

/** Message sets of magic 0 and 1 have no leader epochs, and topics in these formats forget theirs. */
const noEpochsHint =
  "If it stays so, the topic's message.format.version is below 0.11.0: raise it to 0.11.0 or later.";

/** Our own memory of the epoch was old, or the broker's is: metadata and time cure both. */
function staleEpoch(error: unknown): unknown {
  if (!(error instanceof BackupError) || error.name !== "TopicChangedError") return error;
  const { message, details } = error;
  return new BackupError("BrokerUnavailableError", message, { cause: error, details });
}

async function endOnLeader(
  session: Session,
  leader: Leader,
  at: TopicPartition,
  currentLeaderEpoch: number,
  leaderEpoch: number,
): Promise<{ leaderEpoch: number; endOffset: bigint }> {
  const answer = await session.connections.call(leader.address, "admin", offsetForLeaderEpoch, {
    topic: at.topic,
    partition: at.partition,
    currentLeaderEpoch,
    leaderEpoch,
  });
  if (answer.errorCode === 0) {
    return { leaderEpoch: answer.leaderEpoch, endOffset: answer.endOffset };
  }
  const where = ` for epoch ${leaderEpoch}`;
  throw partitionError(answer.errorCode, "OffsetForLeaderEpoch", at, { where });
}

export async function openTransactions(
  session: Session,
  at: TopicPartition,
): Promise<OpenTransaction[]> {
  return session.onLeader(at, async ({ address }) => {
    const answer = await session.connections.call(address, "admin", describeProducers, at);
    if (answer.errorCode !== 0) {
      throw partitionError(answer.errorCode, "DescribeProducers", at, {
        message: answer.errorMessage,
        needs: `Read on topic ${at.topic}`,
      });
    }
    return answer.producers
      .filter(({ transactionStartOffset }) => transactionStartOffset >= 0n)
      .map(({ producerId, producerEpoch, transactionStartOffset, lastTimestamp }) => ({
        producerId,
        producerEpoch,
        startOffset: transactionStartOffset,
        lastTimestampMs: lastTimestamp,
      }));
  });
}
