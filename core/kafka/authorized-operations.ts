/** What the credentials may do, as the brokers say it (KIP-430): nothing is tried. */
import { isBackupError } from "#core/errors.ts";
import type { GroupFailure, GroupOperations } from "#core/kafka/cluster.ts";
import { forEachGroup, groupError, onCoordinator } from "#core/kafka/group-coordinator.ts";
import { kafkaError } from "#core/kafka/kafka-errors.ts";
import { describeCluster } from "#core/kafka/protocol/describe-cluster.ts";
import { describeGroups } from "#core/kafka/protocol/describe-groups.ts";
import type { Session } from "#core/kafka/session.ts";

export async function clusterOperations(session: Session): Promise<readonly string[] | undefined> {
  return session.retrying(async () => {
    const answer = await session.anyBroker(describeCluster, undefined);
    const { errorCode, errorMessage, authorizedOperations } = answer;
    if (errorCode !== 0) {
      throw kafkaError({ code: errorCode, what: "DescribeCluster", message: errorMessage });
    }
    // Without Describe on the cluster a broker lists none, whatever else is granted.
    return authorizedOperations?.includes("DESCRIBE") ? authorizedOperations : undefined;
  });
}

/** A group of the consumer protocol looks absent by this request; its rights are told all the same. */
export async function groupOperations(
  session: Session,
  groups: readonly string[],
): Promise<(GroupOperations | GroupFailure)[]> {
  return forEachGroup(groups, async (group) => {
    try {
      return await onCoordinator(session, group, async (address) => {
        const request = { group, withAuthorizedOperations: true };
        const answer = await session.connections.call(address, "admin", describeGroups, request);
        const { errorCode, authorizedOperations } = answer;
        if (errorCode !== 0) throw groupError(group, errorCode, { api: describeGroups.name });
        return { group, operations: authorizedOperations };
      });
    } catch (error) {
      session.connections.signal.throwIfAborted();
      if (!isBackupError(error)) throw error;
      return { group, error };
    }
  });
}
