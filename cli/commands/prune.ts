/** `kafka-backup prune`: removes what a backup does not need. */
import { type Configure, pathHelp, withExamples } from "#cli/command.ts";
import type { Io } from "#cli/io.ts";
import { duration } from "#cli/option-values.ts";
import { tableText } from "#cli/output.ts";
import { openCatalogOn, openStorageAt } from "#cli/runtime.ts";
import { bytesText, countText, durationText, numbered } from "#cli/text.ts";
import { exitCodes } from "#core/errors.ts";
import type { JudgedOrphan, ObjectCount, OrphanFate, PruneResult } from "#core/prune/prune.ts";
import { parseLocation } from "#core/storage/location.ts";

interface PruneOptions {
  readonly path: string;
  readonly backupId: string;
  readonly execute?: boolean;
  readonly grace?: number;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [
      "kafka-backup prune --orphans --path /backups --backup-id orders",
      "what interrupted runs left behind; removes nothing",
    ],
    ["kafka-backup prune --orphans --path /backups --backup-id orders --execute", "remove it"],
  ]);
  command
    .requiredOption("--orphans", "objects that no manifest and no open run names")
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--backup-id <id>", "the backup, as list shows it")
    .option("--execute", "remove them, and not only list them")
    .option(
      "--grace <duration>",
      "keep what is younger: 90s, 30m, 24h, 7d (default: 24h)",
      duration,
    );
  command.addHelpText(
    "after",
    "\nA worker that was frozen or cut off may still be about to name what it stored: shorten\n" +
      "--grace only where none is left. Nothing is removed while a run holds the lease (exit 11),\n" +
      "nor from a backup whose documents are damaged (exit 13).",
  );
  context.action(command, async (session, options: PruneOptions) => {
    const { graceDefaultMs, pruneOrphans } = await import("#core/prune/prune.ts");
    const storage = await openStorageAt(session, parseLocation(options.path));
    const catalog = await openCatalogOn(session, storage);
    const request = {
      backup_id: options.backupId,
      execute: options.execute === true,
      grace_ms: options.grace ?? graceDefaultMs,
    };
    const deps = { storage, catalog, clock: session.clock };
    const result = await pruneOrphans(deps, request, session.deadline);
    await session.write(result, () => resultText(session.io, result));
    return exitCodes.done;
  });
};

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
