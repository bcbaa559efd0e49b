/** Whether the positions of consumer groups can be kept by a backup, and set after a restore. */
import type { Catalog, StoredManifest } from "#core/catalog/catalog.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { isBackupError } from "#core/errors.ts";
import type { Cluster, GroupFailure, GroupOperations } from "#core/kafka/cluster.ts";
import type { GroupSelection } from "#core/offsets/contract.ts";
import { selectGroups, unmatchedPatterns } from "#core/offsets/select-groups.ts";

/** For a backup: what it keeps beside the records. */
export async function checkReadableGroups(cluster: Cluster): Promise<Checked<void>> {
  const { groups, failed, complete } = await cluster.committedOffsets();
  const findings = failed.map(
    ({ group, reason, error }): Found => ({
      severity: "warning",
      code: "group-unreadable",
      message: `the offsets of group ${JSON.stringify(group)} are not backed up: ${reason}`,
      remedy: isBackupError(error, "AccessDeniedError")
        ? `Grant DESCRIBE on group ${group}.`
        : remedyOf(error),
    }),
  );
  if (!complete) {
    findings.push({
      severity: "warning",
      code: "groups-hidden",
      message:
        "groups that these credentials may not describe are left out of the backup without a " +
        "word: the credentials lack DESCRIBE on the cluster",
      remedy: "Grant DESCRIBE on the cluster (kafka-cluster), and on groups.",
    });
  }
  return { seen: `offsets of ${groups.length} groups can be read`, findings, value: undefined };
}

/** For a restore that sets the offsets of groups afterwards. */
export async function checkResettableGroups(
  cluster: Cluster,
  known: readonly string[],
  selection: GroupSelection,
): Promise<Checked<void>> {
  const unmatched = unmatchedPatterns(known, selection);
  const rest =
    "all" in selection
      ? selection
      : { groups: selection.groups.filter((entry) => !unmatched.includes(entry)) };
  const groups = selectGroups(known, rest);
  const rights = await cluster.groupOperations(groups);
  const described = await cluster.describeGroups(groups);
  const busy = described.flatMap((one) =>
    "members" in one && one.members.length > 0 ? [[one.group, one.members.length] as const] : [],
  );
  return {
    seen: `${groups.length} groups to reset`,
    findings: [
      ...unmatched.map(noGroup),
      ...rights.flatMap(groupFindings),
      ...busy.map(([group, members]) => withMembers(group, members)),
    ],
    value: undefined,
  };
}

/** Groups with positions in the newest run of the backup. */
export async function knownGroups(
  catalog: Catalog,
  { manifest }: StoredManifest,
): Promise<string[]> {
  const newest = manifest.runs.at(-1);
  if (newest === undefined) return [];
  const { backup_id } = manifest;
  const run = await catalog.readRunDocument(backup_id, newest.run);
  const document = await catalog.readClusterDocument(backup_id, run.cluster);
  return Object.keys(document.consumer_groups);
}

const needed = [
  ["DESCRIBE", "error", "to see where it stands"],
  ["READ", "error", "to commit its offsets"],
  ["DELETE", "warning", "to remove offsets when a reset is rolled back"],
] as const;

function groupFindings(rights: GroupOperations | GroupFailure): Found[] {
  const { group } = rights;
  if ("error" in rights && !isBackupError(rights.error, "AccessDeniedError")) {
    const { message } = rights.error;
    const remedy = remedyOf(rights.error);
    return [{ severity: "error", code: "group-unreadable", message, remedy }];
  }
  const operations = "error" in rights ? [] : rights.operations;
  if (operations === undefined) return [];
  return needed
    .filter(([operation]) => !operations.includes(operation))
    .map(([operation, severity, purpose]) => ({
      severity,
      code: "group-operation-denied",
      message: `the credentials lack ${operation} on group ${JSON.stringify(group)}, ${purpose}`,
      remedy: `Grant ${operation} on group ${group}.`,
    }));
}

function noGroup(pattern: string): Found {
  return {
    severity: "error",
    code: "no-group",
    message: `no group of the backup matches ${JSON.stringify(pattern)} of consumer_groups`,
    remedy: "`kafka-backup show-offset-mapping` lists the groups of a backup.",
  };
}

function withMembers(group: string, members: number): Found {
  return {
    severity: "warning",
    code: "group-has-members",
    message: `group ${JSON.stringify(group)} has ${members} members: its offsets cannot be set`,
    remedy: "Stop its consumers before the restore sets offsets.",
  };
}

function remedyOf(error: Error): string {
  return isBackupError(error) ? error.hint : "See the message.";
}
