/** Sets and removes committed offsets of groups without members. */
import { BackupError, isBackupError, isRetryable } from "#core/errors.ts";
import type { BrokerAddress } from "#core/kafka/broker-connection.ts";
import type {
  GroupDescription,
  NewOffset,
  OffsetResult,
  TopicPartition,
} from "#core/kafka/cluster.ts";
import { groupError, onCoordinator } from "#core/kafka/group-coordinator.ts";
import { describeGroup } from "#core/kafka/group-requests.ts";
import { kafkaError, kafkaErrorName } from "#core/kafka/kafka-errors.ts";
import type { MetadataResponse } from "#core/kafka/protocol/metadata.ts";
import { offsetCommit } from "#core/kafka/protocol/offset-commit.ts";
import { offsetDelete } from "#core/kafka/protocol/offset-delete.ts";
import type { Session } from "#core/kafka/session.ts";

/**
 * A coordinator writes a request's offsets as one batch of records to `__consumer_offsets`, which
 * takes 1 MiB by default (Kafka's own: message.max.bytes). Half of it leaves room for a lower one.
 */
const commitBytesMax = 512 * 1024;
/** A record's fixed part: key 10, value 24, envelope at most 30 bytes. */
const commitBytesEach = 64;

/** What coordinators answer to a request as of no member while there are members. */
const memberErrors = new Set([
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "REBALANCE_IN_PROGRESS",
  "NON_EMPTY_GROUP",
  "GROUP_SUBSCRIBED_TO_TOPIC",
  "STALE_MEMBER_EPOCH",
]);

const unknownTopicOrPartition = 3;

type PartitionCode = TopicPartition & { readonly errorCode: number };

interface Change<Item extends TopicPartition> {
  readonly group: string;
  readonly api: string;
  /** Operation on the group that the request needs. */
  readonly needs: string;
  /** Sends items and returns Kafka's verdict on each. */
  send(address: BrokerAddress, items: readonly Item[]): Promise<readonly PartitionCode[]>;
  /** What a topic that does not exist means. */
  readonly absentTopic: "failure" | "done";
  /** What a broker's bare error name does not say. */
  explain(item: Item, kafkaName: string): string | undefined;
}

export async function commitOffsets(
  session: Session,
  group: string,
  offsets: readonly NewOffset[],
): Promise<OffsetResult[]> {
  const change: Change<NewOffset> = {
    group,
    api: offsetCommit.name,
    needs: "Read",
    absentTopic: "failure",
    async send(address, items) {
      const request = { group, topics: byTopic(items, (item) => item) };
      const answer = await session.connections.call(address, "admin", offsetCommit, request);
      return answer.partitions;
    },
    explain: ({ metadata }, kafkaName) =>
      kafkaName === "OFFSET_METADATA_TOO_LARGE"
        ? `its ${metadata.length} characters of metadata are more than the broker's ` +
          "offset.metadata.max.bytes"
        : undefined,
  };
  const results: OffsetResult[] = [];
  for (const part of boundedParts(group, offsets)) {
    results.push(...(await changeOffsets(session, change, part)));
  }
  return results;
}

export async function deleteOffsets(
  session: Session,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<OffsetResult[]> {
  return changeOffsets(
    session,
    {
      group,
      api: offsetDelete.name,
      needs: "Delete",
      // A topic's committed offsets go with it.
      absentTopic: "done",
      async send(address, items) {
        const request = { group, topics: byTopic(items, ({ partition }) => partition) };
        const answer = await session.connections.call(address, "admin", offsetDelete, request);
        const { errorCode } = answer;
        if (errorCode === 0) return answer.partitions;
        // A group that does not exist has nothing committed.
        const code = kafkaErrorName(errorCode) === "GROUP_ID_NOT_FOUND" ? 0 : errorCode;
        return items.map(({ topic, partition }) => ({ topic, partition, errorCode: code }));
      },
      explain: () => undefined,
    },
    partitions,
  );
}

/**
 * Repeats what failed for a moment: both requests change nothing when they are repeated (C4). What
 * still fails in the end stands in the results, which are in the order of `items`.
 */
async function changeOffsets<Item extends TopicPartition>(
  session: Session,
  change: Change<Item>,
  items: readonly Item[],
): Promise<OffsetResult[]> {
  const done = new Map<string, Error | undefined>();
  let waiting = items;
  const round = async (address: BrokerAddress) => {
    const codes = new Map<string, number>();
    for (const one of await change.send(address, waiting)) codes.set(keyOf(one), one.errorCode);
    const failures = await failuresOf(session, change, waiting, codes);
    for (const item of waiting) done.set(keyOf(item), failures.get(keyOf(item)));
    waiting = waiting.filter((item) => isRetryable(failures.get(keyOf(item))));
    const [first] = waiting;
    if (first !== undefined) throw failures.get(keyOf(first));
  };
  try {
    if (items.length > 0) await onCoordinator(session, change.group, round);
  } catch (error) {
    session.connections.signal.throwIfAborted();
    if (!isBackupError(error)) throw error;
    // What Kafka said of an item itself says more than why there was no further round.
    for (const item of waiting) done.set(keyOf(item), done.get(keyOf(item)) ?? error);
  }
  return items.map((item) => ({
    topic: item.topic,
    partition: item.partition,
    error: done.get(keyOf(item)),
  }));
}

/** By item, why it was not done; items that were done are left out. */
async function failuresOf<Item extends TopicPartition>(
  session: Session,
  change: Change<Item>,
  items: readonly Item[],
  codes: ReadonlyMap<string, number>,
): Promise<Map<string, BackupError>> {
  const failures = new Map<string, BackupError>();
  let description: Promise<GroupDescription> | undefined;
  const topics = new Map<string, Promise<MetadataResponse>>();
  for (const item of items) {
    const code = codes.get(keyOf(item));
    if (code === 0) continue;
    if (code === undefined) throw unanswered(change, item);
    const kafkaName = kafkaErrorName(code);
    let failure: BackupError | undefined;
    if (code === unknownTopicOrPartition) {
      const metadata = topics.get(item.topic) ?? session.refresh([item.topic]);
      topics.set(item.topic, metadata);
      failure = absentFailure(change, item, await metadata);
    } else if (memberErrors.has(kafkaName)) {
      description ??= describeGroup(session, change.group);
      failure = memberFailure(change, item, code, await description);
    } else failure = failureOf(change, item, code);
    if (failure !== undefined) failures.set(keyOf(item), failure);
  }
  return failures;
}

function failureOf<Item extends TopicPartition>(
  change: Change<Item>,
  item: Item,
  code: number,
): BackupError {
  const { group, api, needs } = change;
  const { topic, partition } = item;
  const kafkaName = kafkaErrorName(code);
  if (kafkaName === "GROUP_AUTHORIZATION_FAILED") return groupError(group, code, { api, needs });
  return kafkaError({
    code,
    what: `${api} of group ${JSON.stringify(group)} for ${topic}-${partition}`,
    message: change.explain(item, kafkaName),
    needs: `Read on topic ${topic}`,
    details: { group, topic, partition },
  });
}

/** The coordinator may not have heard of a young topic: only metadata says that there is none. */
function absentFailure<Item extends TopicPartition>(
  change: Change<Item>,
  item: Item,
  { topics: [found] }: MetadataResponse,
): BackupError | undefined {
  const { partition } = item;
  const failure = failureOf(change, item, unknownTopicOrPartition);
  if (found?.errorCode === 0 && found.partitions.some((known) => known.partition === partition)) {
    return new BackupError("BrokerUnavailableError", failure.message, { details: failure.details });
  }
  return change.absentTopic === "done" ? undefined : failure;
}

function memberFailure<Item extends TopicPartition>(
  change: Change<Item>,
  item: Item,
  code: number,
  description: GroupDescription,
): BackupError {
  const { message } = failureOf(change, item, code);
  if (description.members.length > 0) return groupNotEmpty(description, message);
  // The last member left between two answers.
  return new BackupError("BrokerUnavailableError", message, { details: { group: change.group } });
}

/** Members are named by what an operator can find them by. */
const membersNamed = 5;

/** Names a group's members: what an operator has to stop. */
export function groupNotEmpty(description: GroupDescription, said?: string): BackupError {
  const { group, members } = description;
  const named = members
    .slice(0, membersNamed)
    .map(({ clientId, host }) => `${clientId} at ${host}`);
  const more = members.length > membersNamed ? ` and ${members.length - membersNamed} more` : "";
  const count = members.length === 1 ? "a member" : `${members.length} members`;
  return new BackupError(
    "GroupNotEmptyError",
    `group ${JSON.stringify(group)} has ${count}: ${named.join(", ")}${more}` +
      (said === undefined ? "" : ` (${said})`),
    { details: { group, members: members.length } },
  );
}

function unanswered<Item extends TopicPartition>(change: Change<Item>, item: Item): BackupError {
  return new BackupError(
    "BrokerUnavailableError",
    `${change.api} of group ${JSON.stringify(change.group)}: the answer lacks ` +
      `${item.topic}-${item.partition}`,
    { details: { group: change.group, topic: item.topic, partition: item.partition } },
  );
}

function* boundedParts(group: string, offsets: readonly NewOffset[]): Generator<NewOffset[]> {
  const groupBytes = Buffer.byteLength(group);
  let part: NewOffset[] = [];
  let bytes = 0;
  for (const offset of offsets) {
    const { topic, metadata } = offset;
    const own = Buffer.byteLength(topic) + Buffer.byteLength(metadata);
    const added = commitBytesEach + groupBytes + own;
    if (bytes + added > commitBytesMax && part.length > 0) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(offset);
    bytes += added;
  }
  if (part.length > 0) yield part;
}

function byTopic<Item extends TopicPartition, Asked>(
  items: readonly Item[],
  ask: (item: Item) => Asked,
): { topic: string; partitions: Asked[] }[] {
  const topics = Map.groupBy(items, ({ topic }) => topic);
  return [...topics].map(([topic, asked]) => ({ topic, partitions: asked.map(ask) }));
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
