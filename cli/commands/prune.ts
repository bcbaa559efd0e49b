/** `kafka-backup prune`: removes what a backup does not need. */
import { Option } from "commander";
import { type Configure, pathHelp, tableHelp, withExamples } from "#cli/command.ts";
import type { Io } from "#cli/io.ts";
import { duration } from "#cli/option-values.ts";
import { tableText } from "#cli/output.ts";
import { prunedSnapshotsText } from "#cli/pruned-snapshots-text.ts";
import { openCatalogOn, tableNamed } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { openStoredAt } from "#cli/stored-location.ts";
import { bytesText, countText, durationText, numbered } from "#cli/text.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import type { JudgedOrphan, ObjectCount, OrphanFate, PruneResult } from "#core/prune/prune.ts";
import type { PrunedSnapshotKind } from "#core/prune/prune-snapshots.ts";

interface PruneOptions {
  readonly path: string;
  readonly orphans?: true;
  readonly backupId?: string;
  readonly grace?: number;
  readonly snapshots?: PrunedSnapshotKind;
  readonly olderThan?: number;
  readonly table?: string;
  readonly execute?: boolean;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [
      "kafka-backup prune --orphans --path /backups --backup-id orders",
      "what interrupted runs left behind; removes nothing",
    ],
    ["kafka-backup prune --orphans --path /backups --backup-id orders --execute", "remove it"],
    [
      "kafka-backup prune --snapshots safety --older-than 90d --path /backups",
      "old snapshots of offsets that only resets and rollbacks took; removes nothing",
    ],
  ]);
  command
    .addOption(
      new Option("--orphans", "objects that no manifest and no open run names").conflicts([
        "snapshots",
        "olderThan",
        "table",
      ]),
    )
    .addOption(
      new Option(
        "--snapshots <kind>",
        "snapshots of offsets that no unfinished restore needs: those that commands took to undo " +
          "what they did, or all",
      )
        .choices(["safety", "all"])
        .conflicts(["backupId", "grace"]),
    )
    .requiredOption("--path <location>", pathHelp)
    .option("--backup-id <id>", "of orphans: the backup, as list shows it")
    .option("--execute", "remove them, and not only list them")
    .option(
      "--grace <duration>",
      "of orphans: keep what is younger: 90s, 30m, 24h, 7d (default: 24h)",
      duration,
    )
    .option("--older-than <duration>", "of snapshots: keep what is younger; 24h or more", duration)
    .option("--table <name>", tableHelp);
  command.addHelpText(
    "after",
    "\nA worker that was frozen or cut off may still be about to name what it stored: shorten\n" +
      "--grace only where none is left. Nothing is removed while a run holds the lease (exit 11),\n" +
      "nor from a backup whose documents are damaged (exit 13), nor a snapshot while documents of\n" +
      "an unfinished three-phase restore are.",
  );
  context.action(command, (session, options: PruneOptions) => {
    if (options.orphans) return pruneOrphans(session, options);
    if (options.snapshots !== undefined) return pruneSnapshots(session, options);
    throw new BackupError("InvalidRequestError", "--orphans or --snapshots is missing", {
      hint: "Say what is to be pruned: --orphans, or --snapshots safety.",
    });
  });
};

async function pruneOrphans(session: Session, options: PruneOptions): Promise<number> {
  const { graceDefaultMs, pruneOrphans } = await import("#core/prune/prune.ts");
  const backup_id = given(options.backupId, "--backup-id");
  const storage = await openStoredAt(session, options.path);
  const catalog = await openCatalogOn(session, storage);
  const request = {
    backup_id,
    execute: options.execute === true,
    grace_ms: options.grace ?? graceDefaultMs,
  };
  const deps = { storage, catalog, clock: session.clock };
  const result = await pruneOrphans(deps, request, session.deadline);
  await session.write(result, () => resultText(session.io, result));
  return exitCodes.done;
}

async function pruneSnapshots(session: Session, options: PruneOptions): Promise<number> {
  const { pruneSnapshots } = await import("#core/prune/prune-snapshots.ts");
  const request = {
    kind: given(options.snapshots, "--snapshots"),
    older_than_ms: given(options.olderThan, "--older-than"),
    execute: options.execute === true,
  };
  const storage = await openStoredAt(session, options.path);
  const catalog = await openCatalogOn(session, storage, tableNamed(options.table));
  const { clock, newId } = session;
  const result = await pruneSnapshots(
    { storage, catalog, clock, newId },
    request,
    session.deadline,
  );
  await session.write(result, () => prunedSnapshotsText(session.io, storage.url, result));
  return exitCodes.done;
}

function given<T>(value: T | undefined, option: string): T {
  if (value !== undefined) return value;
  throw new BackupError("InvalidRequestError", `${option} is missing`, {
    hint: "`kafka-backup prune --help` shows examples.",
  });
}

/** What fits a few screens; `--format json` has all. */
const orphansShown = 100;

async function resultText(io: Io, result: PruneResult): Promise<string> {
  const shown = result.orphans.slice(0, orphansShown);
  const hidden = result.orphans.length + result.left_out - shown.length;
  const more = hidden > 0 ? `and ${numbered(hidden, "more orphan")}\n` : "";
  const table = shown.length > 0 ? `${await orphansText(io, shown)}${more}\n` : "";
  return `${table}${summaryText(result)}`;
}

const fateText: Readonly<Record<OrphanFate, string>> = {
  removed: "removed",
  would_remove: "would be removed",
  young: "kept, too young",
  kept: "kept, not ours to remove",
};

function orphansText(io: Io, orphans: readonly JudgedOrphan[]): Promise<string> {
  return tableText(io, {
    head: ["object", "kind", "size", "age", "fate"],
    rows: orphans.map(({ key, kind, bytes, age_ms, fate }) => [
      key,
      kind.replace("_", " "),
      bytesText(bytes),
      durationText(age_ms),
      fateText[fate],
    ]),
    alignRight: [2, 3],
  });
}

function summaryText({ backup_id, executed, counts, grace_ms, named_count }: PruneResult): string {
  const total = (Object.values(counts) as ObjectCount[]).reduce((sum, n) => sum + n.objects, 0);
  if (total === 0) {
    const named = `all ${countText(named_count)} objects are named`;
    return `Backup ${backup_id} has no orphans: ${named}.\n`;
  }
  const done = executed
    ? `${amountText(counts.removed)} removed`
    : `${amountText(counts.would_remove)} would be removed`;
  const young = `${amountText(counts.young)} younger than ${durationText(grace_ms)} kept`;
  const kept = `${amountText(counts.kept)} of other kinds kept`;
  const next =
    !executed && counts.would_remove.objects > 0 ? "Add --execute to remove them.\n" : "";
  return `Backup ${backup_id}: ${done}, ${young}, ${kept}.\n${next}`;
}

function amountText({ objects, bytes }: ObjectCount): string {
  return objects === 0 ? "none" : `${numbered(objects, "object")} (${bytesText(bytes)})`;
}
