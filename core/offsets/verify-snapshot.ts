/** Whether a snapshot is well-formed, and whether a rollback to it would be possible now. */
import type { Cluster, GroupDescription, GroupFailure } from "#core/kafka/cluster.ts";
import { groupNotEmpty } from "#core/kafka/group-changes.ts";
import type { OffsetSnapshot } from "#core/offsets/contract.ts";
import type { RollbackRequest } from "#core/offsets/rollback.ts";
import {
  planRollback,
  type RollbackFinding,
  snapshotGroupsOf,
} from "#core/offsets/rollback-plan.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface SnapshotVerdict {
  readonly snapshot_id: string;
  readonly created_at: string;
  readonly cluster_id: string;
  readonly group_count: number;
  readonly position_count: number;
  /** The groups that could not be read when it was taken. */
  readonly unread_groups: OffsetSnapshot["unread_groups"];
  /** Absent when no cluster was asked. */
  readonly against?: {
    readonly cluster_id: string;
    /** A rollback of all its groups would be refused where this is false. */
    readonly can_roll_back: boolean;
    readonly findings: readonly RollbackFinding[];
  };
}

/**
 * Reads the document and checks its ids and names; with a cluster also its topics, their ids, the
 * logs, and the groups and their members. Changes nothing. Throws as `readSnapshot` does.
 */
export async function verifySnapshot(
  deps: { readonly storage: StorageBackend; readonly cluster?: Cluster },
  snapshotId: string,
): Promise<SnapshotVerdict> {
  const snapshot = await readSnapshot(deps.storage, snapshotId);
  const groups = Object.values(snapshot.consumer_groups);
  const positions = groups.map(({ partitions }) => Object.keys(partitions).length);
  const verdict = {
    snapshot_id: snapshot.snapshot_id,
    created_at: snapshot.created_at,
    cluster_id: snapshot.cluster_id,
    group_count: groups.length,
    position_count: positions.reduce((sum, count) => sum + count, 0),
    unread_groups: snapshot.unread_groups,
  };
  if (deps.cluster === undefined) return verdict;
  const groupNames = snapshotGroupsOf(snapshot);
  const findings = await findingsAgainst(deps.cluster, snapshot, groupNames, false);
  return {
    ...verdict,
    against: {
      cluster_id: deps.cluster.clusterId,
      can_roll_back: findings.every(({ severity }) => severity === "warning"),
      findings,
    },
  };
}

export interface RollbackDryRun {
  readonly snapshot_id: string;
  readonly cluster_id: string;
  readonly group_count: number;
  readonly position_count: number;
  /** The rollback would be refused where this is false. */
  readonly can_roll_back: boolean;
  readonly findings: readonly RollbackFinding[];
}

/** What a rollback of the given groups would be refused for. Throws as `readSnapshot` does. */
export async function dryRunRollback(
  deps: { readonly storage: StorageBackend; readonly cluster: Cluster },
  { snapshot_id, groups: wanted, clamp }: Omit<RollbackRequest, "verify">,
): Promise<RollbackDryRun> {
  const snapshot = await readSnapshot(deps.storage, snapshot_id);
  const groups = snapshotGroupsOf(snapshot, wanted);
  const findings = await findingsAgainst(deps.cluster, snapshot, groups, clamp);
  const positions = groups.map((group) => snapshot.consumer_groups[group]!.partitions);
  return {
    snapshot_id,
    cluster_id: deps.cluster.clusterId,
    group_count: groups.length,
    position_count: positions.reduce((sum, one) => sum + Object.keys(one).length, 0),
    can_roll_back: findings.every(({ severity }) => severity === "warning"),
    findings,
  };
}

async function findingsAgainst(
  cluster: Cluster,
  snapshot: OffsetSnapshot,
  groups: readonly string[],
  clamp: boolean,
): Promise<RollbackFinding[]> {
  const { findings } = await planRollback(cluster, snapshot, groups, clamp);
  if (cluster.clusterId !== snapshot.cluster_id) return [...findings];
  const described = await cluster.describeGroups(groups);
  return [...findings, ...described.flatMap(groupFinding)];
}

function groupFinding(result: GroupDescription | GroupFailure): RollbackFinding[] {
  const { group } = result;
  if ("error" in result) {
    const { message } = result.error;
    const remedy = "Grant what the message names, or leave the group out with --groups.";
    return [{ severity: "error", code: "group-unreadable", group, message, remedy }];
  }
  if (result.members.length > 0) {
    const { message, hint } = groupNotEmpty(result);
    return [{ severity: "error", code: "group-has-members", group, message, remedy: hint }];
  }
  if (result.state !== "Dead") return [];
  const message = `group ${JSON.stringify(group)} does not exist any more: a rollback creates it`;
  return [{ severity: "warning", code: "group-absent", group, message, remedy: "" }];
}
