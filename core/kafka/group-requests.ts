/** Committed offsets of consumer groups. */
import { type BackupError, isBackupError } from "#core/errors.ts";
import { addressOf, type BrokerAddress } from "#core/kafka/broker-connection.ts";
import type { CommittedOffsets } from "#core/kafka/cluster.ts";
import { kafkaError } from "#core/kafka/kafka-errors.ts";
import { findCoordinator } from "#core/kafka/protocol/find-coordinator.ts";
import { listGroups } from "#core/kafka/protocol/list-groups.ts";
import { type OffsetFetchResponse, offsetFetch } from "#core/kafka/protocol/offset-fetch.ts";
import type { Session } from "#core/kafka/session.ts";

type GroupOffsets = CommittedOffsets["groups"][number];
type GroupResult = GroupOffsets | CommittedOffsets["failed"][number];

/** Kinds of groups whose positions are not committed offsets. */
const otherProtocols = new Set(["share"]);
/** Requests to one broker's coordinator at a time; it answers one connection's in turn anyway. */
const groupsInFlight = 16;

/**
 * Each broker lists the groups that it coordinates, so all are asked; one that does not answer
 * fails the whole (K8: half a list is never taken for all). A single group's failure is named.
 */
export async function committedOffsets(session: Session): Promise<CommittedOffsets> {
  await session.retrying(() => session.refresh([]));
  const listed = await Promise.all(session.nodes().map((address) => listOn(session, address)));
  // A group that moves between two answers may be in both lists.
  const coordinators = new Map(listed.flat().map((entry) => [entry.group, entry]));
  const results: GroupResult[] = [];
  const waiting = [...coordinators.values()];
  const work = async () => {
    for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
      results.push(await offsetsOf(session, entry));
    }
  };
  await Promise.all(Array.from({ length: groupsInFlight }, work));
  results.sort((one, other) => (one.group < other.group ? -1 : 1));
  return {
    groups: results.filter((result) => "offsets" in result),
    failed: results.filter((result) => "reason" in result),
  };
}

interface ListedGroup {
  readonly group: string;
  readonly protocolType: string;
  readonly coordinator: BrokerAddress;
}

function listOn(session: Session, coordinator: BrokerAddress): Promise<ListedGroup[]> {
  return session.retrying(async () => {
    const answer = await session.connections.call(coordinator, "admin", listGroups, undefined);
    if (answer.errorCode !== 0) {
      const what = `ListGroups on ${addressOf(coordinator)}`;
      throw kafkaError({ code: answer.errorCode, what, needs: "Describe on the cluster" });
    }
    return answer.groups.map((group) => ({ ...group, coordinator }));
  });
}

async function offsetsOf(session: Session, listed: ListedGroup): Promise<GroupResult> {
  const { group, protocolType } = listed;
  if (otherProtocols.has(protocolType)) {
    return { group, reason: `groups of type ${protocolType} are not supported` };
  }
  let coordinator: BrokerAddress | undefined = listed.coordinator;
  try {
    return await session.retrying(async () => {
      const address: BrokerAddress = coordinator ?? (await coordinatorOf(session, group));
      coordinator = undefined;
      const answer = await session.connections.call(address, "admin", offsetFetch, { group });
      return { group, offsets: offsetsIn(answer, group) };
    });
  } catch (error) {
    session.connections.signal.throwIfAborted();
    if (!isBackupError(error)) throw error;
    return { group, reason: error.message };
  }
}

async function coordinatorOf(session: Session, group: string): Promise<BrokerAddress> {
  const answer = await session.anyBroker(findCoordinator, { group });
  if (answer.errorCode === 0) return { host: answer.host, port: answer.port };
  throw groupError(group, answer.errorCode, answer.errorMessage);
}

function offsetsIn(answer: OffsetFetchResponse, group: string): GroupOffsets["offsets"] {
  if (answer.errorCode !== 0) throw groupError(group, answer.errorCode, null);
  const failed = answer.offsets.find(({ errorCode }) => errorCode !== 0);
  if (failed !== undefined) {
    throw groupError(group, failed.errorCode, `${failed.topic}-${failed.partition}`);
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

function groupError(group: string, code: number, message: string | null): BackupError {
  const needs = `Describe on group ${group}`;
  return kafkaError({ code, what: `group ${group}`, message, needs, details: { group } });
}
