/** `kafka-backup list`: the backups of one location. */
import { type Configure, pathHelp, tableHelp, withExamples } from "#cli/command.ts";
import type { Io } from "#cli/io.ts";
import { tableText } from "#cli/output.ts";
import { openCatalogOn, tableNamed } from "#cli/runtime.ts";
import { openStoredAt } from "#cli/stored-location.ts";
import { bytesText, countText, durationText, ratioText, timeText } from "#cli/text.ts";
import type { ListedBackup } from "#core/describe/list.ts";
import { exitCodes } from "#core/errors.ts";

interface ListOptions {
  readonly path: string;
  readonly table?: string;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup list --path /backups", "what is in a folder, and how old it is"],
    ["kafka-backup list --path s3://bucket/prefix --format json", "for scripts"],
  ]);
  command.requiredOption("--path <location>", pathHelp).option("--table <name>", tableHelp);
  command.addHelpText("after", "\nExits 13 where the newest manifest of a backup cannot be read.");
  context.action(command, async (session, options: ListOptions) => {
    const { listBackups } = await import("#core/describe/list.ts");
    const storage = await openStoredAt(session, options.path);
    const catalog = await openCatalogOn(session, storage, tableNamed(options.table));
    const backups: ListedBackup[] = [];
    for await (const backup of listBackups({ catalog, clock: session.clock }, session.deadline)) {
      backups.push(backup);
    }
    await session.write(backups, () => listText(session.io, storage.url, backups));
    const isDamaged = backups.some(({ status }) => status === "unreadable");
    return isDamaged ? exitCodes.damaged : exitCodes.done;
  });
};

async function listText(io: Io, url: string, backups: readonly ListedBackup[]): Promise<string> {
  if (backups.length === 0) return `There are no backups in ${url}.\n`;
  const table = await tableText(io, {
    head: [
      ...["backup", "generation", "runs", "topics", "partitions", "records"],
      ...["original", "stored", "ratio", "gaps", "first run", "newest run", "age"],
    ],
    rows: backups.map(rowOf),
    alignRight: [1, 2, 3, 4, 5, 6, 7, 8, 9, 12],
  });
  const unreadable = backups.flatMap((backup) =>
    backup.status === "unreadable" ? [`${backup.backup_id}: ${backup.message}\n`] : [],
  );
  return `${table}${unreadable.join("")}`;
}

function rowOf(backup: ListedBackup): string[] {
  if (backup.status === "unreadable") return [backup.backup_id, "damaged"];
  if (backup.status === "uncommitted") return [backup.backup_id, "no run yet"];
  return [
    backup.backup_id,
    String(backup.generation),
    countText(backup.run_count),
    countText(backup.topic_count),
    countText(backup.partition_count),
    countText(backup.record_count),
    bytesText(backup.original_bytes),
    bytesText(backup.stored_bytes),
    ratioText(backup.original_bytes, backup.stored_bytes),
    countText(backup.gap_count),
    timeText(backup.first_planned_at),
    timeText(backup.last_planned_at),
    durationText(backup.age_ms),
  ];
}
