/** Which consumer groups there are, of which type, with which members and committed offsets. */
import { BackupError, isBackupError } from "#core/errors.ts";
import { addressOf, type BrokerAddress } from "#core/kafka/broker-connection.ts";
import type { CommittedOffsets, GroupDescription, GroupFailure } from "#core/kafka/cluster.ts";
import { forEachGroup, groupError, onCoordinator } from "#core/kafka/group-coordinator.ts";
import { kafkaError, kafkaErrorName } from "#core/kafka/kafka-errors.ts";
import { consumerGroupDescribe } from "#core/kafka/protocol/consumer-group-describe.ts";
import { describeCluster } from "#core/kafka/protocol/describe-cluster.ts";
import {
  type DescribedGroup,
  describeGroups as describeGroupsApi,
} from "#core/kafka/protocol/describe-groups.ts";
import { listGroups } from "#core/kafka/protocol/list-groups.ts";
import { type OffsetFetchResponse, offsetFetch } from "#core/kafka/protocol/offset-fetch.ts";
import type { Session } from "#core/kafka/session.ts";

type GroupOffsets = CommittedOffsets["groups"][number];
type GroupResult = GroupOffsets | CommittedOffsets["failed"][number];

/** Kinds of groups that are not supported: positions of share groups are not committed offsets. */
const otherProtocols = new Set(["share", "streams"]);

function otherProtocolError(group: string, protocolType: string): BackupError {
  return new BackupError(
    "InvalidRequestError",
    `group ${JSON.stringify(group)} is a ${protocolType} group; only classic and consumer groups ` +
      "are supported",
    { hint: `Leave out groups of type ${protocolType}.`, details: { group } },
  );
}

interface ListedGroup {
  readonly group: string;
  readonly protocolType: string;
  readonly coordinator: BrokerAddress;
}

/**
 * Each broker lists the groups that it coordinates, so all are asked; one that does not answer
 * fails the whole (K8: half a list is never taken for all). A single group's failure is named.
 */
export async function committedOffsets(
  session: Session,
  groups?: readonly string[],
): Promise<CommittedOffsets> {
  const listed = await session.retrying(() => listEverywhere(session, groups === undefined));
  const asked = groups === undefined ? [...listed.keys()] : [...new Set(groups)];
  asked.sort((one, other) => (one < other ? -1 : 1));
  // One that is not listed does not exist, or may not be seen: its coordinator says which.
  const results = await forEachGroup(asked, (group) =>
    offsetsOf(session, group, listed.get(group)),
  );
  return {
    groups: results.filter((result) => "offsets" in result),
    failed: results.filter((result) => "reason" in result),
    complete: groups !== undefined || (await seesEveryGroup(session)),
  };
}

const offsetsTopic = "__consumer_offsets";

/**
 * Of every group, where it is listed. Groups of a part of `__consumer_offsets` that has no leader,
 * or gets another one meanwhile, may be in no broker's list: BrokerUnavailableError, where all are
 * wanted.
 */
async function listEverywhere(
  session: Session,
  allWanted: boolean,
): Promise<Map<string, ListedGroup>> {
  if (!allWanted) await session.refresh([]);
  const before = allWanted ? await coordinatorsNow(session) : "";
  const lists = await Promise.all(session.nodes().map((address) => listOn(session, address)));
  if (allWanted && (await coordinatorsNow(session)) !== before) {
    throw new BackupError(
      "BrokerUnavailableError",
      `the leaders of ${offsetsTopic} changed while groups were listed`,
    );
  }
  // A group that moves between two answers may be in both lists.
  return new Map(lists.flat().map((entry) => [entry.group, entry]));
}

/** Leader and epoch of each part of the groups, as one text; of no part where none may be seen. */
async function coordinatorsNow(session: Session): Promise<string> {
  const { topics } = await session.refresh([offsetsTopic]);
  const parts = topics.flatMap(({ partitions }) => partitions);
  const leaderless = parts.find(({ leader }) => leader < 0);
  if (leaderless === undefined) {
    return parts.map(({ leader, leaderEpoch }) => `${leader}@${leaderEpoch}`).join(" ");
  }
  throw new BackupError(
    "BrokerUnavailableError",
    `groups cannot all be listed: ${offsetsTopic}-${leaderless.partition} has no leader`,
  );
}

async function listOn(session: Session, coordinator: BrokerAddress): Promise<ListedGroup[]> {
  const answer = await session.connections.call(coordinator, "admin", listGroups, undefined);
  if (answer.errorCode !== 0) {
    const what = `ListGroups on ${addressOf(coordinator)}`;
    throw kafkaError({ code: answer.errorCode, what, needs: "Describe on the cluster" });
  }
  return answer.groups.map((group) => ({ ...group, coordinator }));
}

/** Without Describe on the cluster, ListGroups leaves out what may not be described, silently. */
async function seesEveryGroup(session: Session): Promise<boolean> {
  return session.retrying(async () => {
    const answer = await session.anyBroker(describeCluster, undefined);
    const { errorCode, errorMessage, authorizedOperations } = answer;
    if (errorCode !== 0) {
      throw kafkaError({ code: errorCode, what: "DescribeCluster", message: errorMessage });
    }
    return authorizedOperations?.includes("DESCRIBE") ?? false;
  });
}

async function offsetsOf(
  session: Session,
  group: string,
  listed: ListedGroup | undefined,
): Promise<GroupResult> {
  try {
    if (listed !== undefined && otherProtocols.has(listed.protocolType)) {
      throw otherProtocolError(group, listed.protocolType);
    }
    const fetchOn = async (address: BrokerAddress) => {
      const answer = await session.connections.call(address, "admin", offsetFetch, { group });
      return { group, offsets: offsetsIn(answer, group) };
    };
    return await onCoordinator(session, group, fetchOn, listed?.coordinator);
  } catch (error) {
    session.connections.signal.throwIfAborted();
    if (!isBackupError(error)) throw error;
    return { group, reason: error.message, error };
  }
}

function offsetsIn(answer: OffsetFetchResponse, group: string): GroupOffsets["offsets"] {
  const api = "OffsetFetch";
  if (answer.errorCode !== 0) throw groupError(group, answer.errorCode, { api });
  const failed = answer.offsets.find(({ errorCode }) => errorCode !== 0);
  if (failed !== undefined) {
    const message = `${failed.topic}-${failed.partition}`;
    throw groupError(group, failed.errorCode, { api, message });
  }
  return answer.offsets
    .filter(({ offset }) => offset >= 0n)
    .map(({ topic, partition, offset, leaderEpoch, metadata }) => ({
      topic,
      partition,
      offset,
      leaderEpoch,
      metadata: metadata ?? "",
    }));
}

export async function describeGroups(
  session: Session,
  groups: readonly string[],
): Promise<(GroupDescription | GroupFailure)[]> {
  return forEachGroup(groups, async (group) => {
    try {
      return await describeGroup(session, group);
    } catch (error) {
      session.connections.signal.throwIfAborted();
      if (!isBackupError(error)) throw error;
      return { group, error };
    }
  });
}

/** What a broker says of a group whose protocol is not the one that was asked about. */
const notOfThisProtocol = new Set([
  "GROUP_ID_NOT_FOUND",
  // Kafka 3.7 to 3.9 with the consumer protocol switched off.
  "UNSUPPORTED_VERSION",
]);

/**
 * Asks by the consumer protocol first: by the classic one its groups look like absent ones, live
 * members or not.
 */
export async function describeGroup(session: Session, group: string): Promise<GroupDescription> {
  return onCoordinator(session, group, async (address) => {
    const { connections } = session;
    const connection = await connections.ready(address, "admin");
    if (!connection.knows(consumerGroupDescribe)) {
      const answer = await connections.call(address, "admin", describeGroupsApi, { group });
      const described = descriptionOf(group, "classic", answer, describeGroupsApi.name);
      return described.state === "Dead" ? { ...described, type: "unknown" } : described;
    }
    const answer = await connections.call(address, "admin", consumerGroupDescribe, { group });
    if (!notOfThisProtocol.has(kafkaErrorName(answer.errorCode))) {
      return descriptionOf(group, "consumer", answer, consumerGroupDescribe.name);
    }
    const classic = await connections.call(address, "admin", describeGroupsApi, { group });
    const described = descriptionOf(group, "classic", classic, describeGroupsApi.name);
    if (described.state !== "Dead") return described;
    await refuseOtherProtocol(session, address, group);
    return { ...described, type: "unknown" };
  });
}

function descriptionOf(
  group: string,
  type: GroupDescription["type"],
  answer: DescribedGroup,
  api: string,
): GroupDescription {
  const { errorCode, errorMessage, state, members } = answer;
  if (errorCode !== 0) throw groupError(group, errorCode, { api, message: errorMessage });
  return { group, type, state, members };
}

/** Throws where the group that no describing request knows is in the coordinator's list. */
async function refuseOtherProtocol(
  session: Session,
  coordinator: BrokerAddress,
  group: string,
): Promise<void> {
  const listed = (await listOn(session, coordinator)).find((entry) => entry.group === group);
  if (listed === undefined) return;
  if (otherProtocols.has(listed.protocolType)) {
    throw otherProtocolError(group, listed.protocolType);
  }
  // It came to be between two answers.
  throw new BackupError(
    "BrokerUnavailableError",
    `group ${JSON.stringify(group)} changed while it was described`,
    { details: { group } },
  );
}
