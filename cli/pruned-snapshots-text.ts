/** What became of old snapshots of offsets, for people. */
import type { Io } from "#cli/io.ts";
import { tableText } from "#cli/output.ts";
import { bytesText, countText, durationText, numbered } from "#cli/text.ts";
import type {
  JudgedSnapshot,
  PruneSnapshotsResult,
  SnapshotFate,
} from "#core/prune/prune-snapshots.ts";

/** What fits a few screens; `--format json` has all. */
const snapshotsShown = 100;

const fateText: Readonly<Record<SnapshotFate, string>> = {
  removed: "removed",
  would_remove: "would be removed",
  young: "kept, too young",
  needed: "kept for three-phase restore",
  kept: "kept, taken by people",
  unreadable: "kept, cannot be read",
};

export async function prunedSnapshotsText(
  io: Io,
  url: string,
  result: PruneSnapshotsResult,
): Promise<string> {
  const { snapshots, counts, execute, older_than_ms } = result;
  if (snapshots.length === 0) return `There are no offset snapshots in ${url}.\n`;
  // What is old is what somebody wants to see.
  const old = snapshots.filter(({ fate }) => fate !== "young");
  const shown = old.slice(0, snapshotsShown);
  const hidden = old.length - shown.length;
  const more = hidden > 0 ? `and ${numbered(hidden, "more snapshot")}\n` : "";
  const table = shown.length > 0 ? `${await oldText(io, shown)}${more}\n` : "";
  const gone = execute
    ? `${countText(counts.removed)} removed`
    : `${countText(counts.would_remove)} would be removed`;
  const rest = [
    `${countText(counts.young)} younger than ${durationText(older_than_ms)}`,
    `${countText(counts.needed)} still needed`,
    `${countText(counts.kept)} taken by people`,
    `${countText(counts.unreadable)} that cannot be read`,
  ];
  const next = !execute && counts.would_remove > 0 ? "Add --execute to remove them.\n" : "";
  return `${table}${numbered(snapshots.length, "snapshot")}: ${gone}; kept: ${rest.join(", ")}.\n${next}`;
}

function oldText(io: Io, snapshots: readonly JudgedSnapshot[]): Promise<string> {
  return tableText(io, {
    head: ["snapshot", "size", "age", "fate"],
    rows: snapshots.map(({ snapshot_id, bytes, age_ms, fate, needed_by }) => [
      snapshot_id,
      bytesText(bytes),
      durationText(age_ms),
      needed_by === undefined ? fateText[fate] : `${fateText[fate]} ${needed_by}`,
    ]),
    alignRight: [1, 2],
  });
}
