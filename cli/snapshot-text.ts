/** Snapshots of committed offsets, and what is done with them, for people. */
import type { Io } from "#cli/io.ts";
import { printable, tableText } from "#cli/output.ts";
import { countText, numbered } from "#cli/text.ts";
import type { GroupOutcome, OffsetSnapshot } from "#core/offsets/contract.ts";
import type { ListedSnapshot } from "#core/offsets/list-snapshots.ts";
import type { RollbackResult } from "#core/offsets/rollback.ts";
import type { RollbackFinding } from "#core/offsets/rollback-plan.ts";
import type { SnapshotDiff } from "#core/offsets/snapshot-diff.ts";
import { byPlace, partitionNamed } from "#core/offsets/topic-partition.ts";
import type { SnapshotVerdict } from "#core/offsets/verify-snapshot.ts";

/** The id first: scripts take the word behind `snapshot:`. */
export async function snapshotText(io: Io, snapshot: OffsetSnapshot): Promise<string> {
  const groups = Object.entries(snapshot.consumer_groups);
  const rows = groups.flatMap(([group, { type, state, partitions }]) => {
    const named = [group, type ?? "-", state ?? "-"];
    const places = Object.entries(partitions).map(([name, at]) => ({
      ...partitionNamed(name),
      at,
    }));
    if (places.length === 0) return [[...named, "-", "-", "-", ""]];
    return places
      .sort(byPlace)
      .map(({ topic, partition, at }) => [
        ...[...named, topic, String(partition), String(at.offset), at.metadata],
      ]);
  });
  const table =
    rows.length === 0
      ? "There are no groups in it.\n"
      : await tableText(io, {
          head: ["group", "type", "state", "topic", "partition", "offset", "metadata"],
          rows,
          alignRight: [4, 5],
        });
  const facts = [
    `snapshot: ${snapshot.snapshot_id}`,
    `created: ${snapshot.created_at}`,
    `cluster: ${printable(snapshot.cluster_id)}`,
    ...(snapshot.description === "" ? [] : [`description: ${printable(snapshot.description)}`]),
  ];
  const unread = unreadText(snapshot.unread_groups);
  const hidden = snapshot.groups_complete
    ? ""
    : "Groups may be missing: the credentials lacked Describe on the cluster.\n";
  return `${facts.join("\n")}\n\n${table}${unread}${hidden}`;
}

function unreadText(unread: OffsetSnapshot["unread_groups"]): string {
  if (unread.length === 0) return "";
  const lines = unread.map(({ group, reason }) => `  ${printable(group)}: ${printable(reason)}\n`);
  return `\n${numbered(unread.length, "group")} could not be read:\n${lines.join("")}`;
}

export async function listText(
  io: Io,
  url: string,
  snapshots: readonly ListedSnapshot[],
): Promise<string> {
  if (snapshots.length === 0) return `There are no offset snapshots in ${url}.\n`;
  const table = await tableText(io, {
    head: ["snapshot", "created", "groups", "positions", "cluster", "description"],
    rows: snapshots.map((snapshot) => {
      if (snapshot.status === "unreadable") return [snapshot.snapshot_id, "damaged"];
      const { snapshot_id, created_at, group_count, position_count } = snapshot;
      const counts = [countText(group_count), countText(position_count)];
      return [snapshot_id, created_at, ...counts, snapshot.cluster_id, snapshot.description];
    }),
    alignRight: [2, 3],
  });
  const damaged = snapshots.flatMap((snapshot) =>
    snapshot.status === "unreadable" ? [`${printable(snapshot.message)}\n`] : [],
  );
  return `${table}${damaged.join("")}`;
}

export async function diffText(io: Io, diff: SnapshotDiff): Promise<string> {
  const rows = diff.groups.flatMap(({ group, change, not_covered_by, partitions }) => {
    if (change === "not-covered") {
      return [[group, "-", "-", `not in ${not_covered_by}`, "-", "-", "-"]];
    }
    return partitions.map((moved) => [
      ...[group, moved.topic, String(moved.partition), moved.change],
      ...[offsetText(moved.from_offset), offsetText(moved.to_offset)],
      distanceText(moved.distance),
    ]);
  });
  const table =
    rows.length === 0
      ? ""
      : await tableText(io, {
          head: ["group", "topic", "partition", "change", "from", "to", "distance"],
          rows,
          alignRight: [2, 4, 5, 6],
        });
  const notes = [
    ...(diff.same_cluster ? [] : ["The snapshots are of different clusters."]),
    ...diff.recreated_topics.map((topic) => `Topic ${printable(topic)} was created anew between.`),
    `${numbered(diff.unchanged_group_count, "group")} unchanged.`,
  ];
  return `${table}${notes.join("\n")}\n`;
}

function offsetText(offset: bigint | null): string {
  return offset === null ? "-" : String(offset);
}

function distanceText(distance: bigint | null): string {
  if (distance === null) return "-";
  return distance > 0n ? `+${distance}` : String(distance);
}

export async function verdictText(io: Io, verdict: SnapshotVerdict): Promise<string> {
  const { group_count, position_count, against } = verdict;
  const holds = `${numbered(group_count, "group")}, ${numbered(position_count, "position")}`;
  const wellFormed =
    `${verdict.snapshot_id} is well-formed: ${holds}. It has no checksum: an offset that was ` +
    `edited is not found.\n${unreadText(verdict.unread_groups)}`;
  if (against === undefined) return wellFormed;
  const findings = await findingsText(io, against.findings);
  const outcome = against.can_roll_back ? "is possible" : "would be refused";
  return `${wellFormed}${findings}A rollback in cluster ${printable(against.cluster_id)} ${outcome}.\n`;
}

async function findingsText(io: Io, findings: readonly RollbackFinding[]): Promise<string> {
  if (findings.length === 0) return "";
  return tableText(io, {
    head: ["severity", "finding", "what", "remedy"],
    rows: findings.map(({ severity, code, message, remedy }) => [severity, code, message, remedy]),
  });
}

export async function rollbackText(io: Io, result: RollbackResult): Promise<string> {
  const table = await outcomesText(io, result.outcomes);
  const read = result.verified ? ", and read back" : "; not read back";
  const done = result.outcomes.filter(({ status }) => status === "changed").length;
  const of = `${countText(done)} of ${numbered(result.outcomes.length, "group")}`;
  return [
    `${await findingsText(io, result.warnings)}${table}`,
    `rolled back to ${result.snapshot_id}: ${of}${read}`,
    `safety snapshot: ${result.safety_snapshot_id} (a rollback to it undoes this)\n`,
  ].join("\n");
}

/** What became of each group, and why where it failed. */
export async function outcomesText(io: Io, outcomes: readonly GroupOutcome[]): Promise<string> {
  if (outcomes.length === 0) return "";
  const table = await tableText(io, {
    head: ["group", "status", "committed", "removed"],
    rows: outcomes.map(({ group, status, committed, deleted }) => [
      ...[group, status, countText(committed), countText(deleted)],
    ]),
    alignRight: [2, 3],
  });
  const failures = outcomes.flatMap(({ group, failures }) =>
    failures.map(
      ({ topic, partition, reason }) =>
        `${printable(group)} ${topic}-${partition}: ${printable(reason)}\n`,
    ),
  );
  return `${table}${failures.join("")}`;
}
