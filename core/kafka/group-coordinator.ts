/** Requests about one consumer group, sent to the broker that coordinates it. */
import pLimit from "p-limit";
import type { BackupError } from "#core/errors.ts";
import type { BrokerAddress } from "#core/kafka/broker-connection.ts";
import { kafkaError } from "#core/kafka/kafka-errors.ts";
import { findCoordinator } from "#core/kafka/protocol/find-coordinator.ts";
import type { Session } from "#core/kafka/session.ts";

/** Requests to one broker's coordinator at a time; it answers one connection's in turn anyway. */
const groupsInFlight = 16;

/**
 * Runs `attempt` with the group's coordinator (`known`: as a listing named it), and with the one
 * that is found then after a failure that may pass. Only for what may be repeated.
 */
export async function onCoordinator<T>(
  session: Session,
  group: string,
  attempt: (address: BrokerAddress) => Promise<T>,
  known?: BrokerAddress,
): Promise<T> {
  let first = known;
  return session.retrying(async () => {
    const address = first ?? (await coordinatorOf(session, group));
    first = undefined;
    return attempt(address);
  });
}

async function coordinatorOf(session: Session, group: string): Promise<BrokerAddress> {
  const answer = await session.anyBroker(findCoordinator, { group });
  if (answer.errorCode === 0) return { host: answer.host, port: answer.port };
  throw groupError(group, answer.errorCode, {
    api: "FindCoordinator",
    message: answer.errorMessage,
  });
}

export function groupError(
  group: string,
  code: number,
  failure: { api: string; message?: string | null; needs?: string },
): BackupError {
  const { api, message, needs = "Describe" } = failure;
  return kafkaError({
    code,
    what: `${api} of group ${JSON.stringify(group)}`,
    message,
    needs: `${needs} on group ${JSON.stringify(group)}`,
    details: { group },
  });
}

/** Runs `work` for each item, a bounded number at a time; results in the items' order. */
export function forEachGroup<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  return pLimit(groupsInFlight).map(items, work);
}
