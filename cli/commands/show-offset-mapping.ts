/** `kafka-backup show-offset-mapping`: where every group of a backup stands after a restore. */
import { type Configure, pathHelp, withExamples } from "#cli/command.ts";
import { mappingCsv, mappingText } from "#cli/offset-text.ts";
import { openCatalogOn } from "#cli/runtime.ts";
import { openStoredAt } from "#cli/stored-location.ts";
import { exitCodes } from "#core/errors.ts";
import type { OffsetMapping } from "#core/offsets/mapping-report.ts";

interface MappingOptions {
  readonly path: string;
  readonly backupId: string;
  readonly restoreId?: string;
}

/** Others that a warning names. */
const restoresNamed = 5;

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup show-offset-mapping --path /backups --backup-id orders", "as a table"],
    [
      "kafka-backup show-offset-mapping --path /backups --backup-id orders --format json | jq '.consumer_groups[\"billing\"].partitions'",
      "one group, for a script",
    ],
  ]);
  command
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--backup-id <id>", "the backup, as list shows it")
    .option("--restore-id <id>", "a restore of it; the one that finished last unless said");
  command.addHelpText(
    "after",
    "\nCommitted offset, end and lag are those of the newest run; lag counts offsets, holes too.\n" +
      "Nothing is asked of Kafka.",
  );
  const work = async (session: Parameters<typeof openCatalogOn>[0], options: MappingOptions) => {
    const { offsetMapping } = await import("#core/offsets/mapping-report.ts");
    const storage = await openStoredAt(session, options.path);
    const catalog = await openCatalogOn(session, storage);
    const request = {
      backup_id: options.backupId,
      ...(options.restoreId !== undefined && { restore_id: options.restoreId }),
    };
    const mapping = await offsetMapping({ storage, catalog }, request, session.deadline);
    warnOfOthers(mapping, (line) => session.logger.warn(line));
    const describe = () => mappingText(session.io, mapping);
    await session.write(mapping, describe, { csv: () => mappingCsv(mapping) });
    return exitCodes.done;
  };
  context.action(command, work, ["csv"]);
};

/** The positions are those of the backup whatever the restore; where they lead to is not. */
function warnOfOthers(mapping: OffsetMapping, warn: (line: string) => void): void {
  const { restore_id, other_restores } = mapping;
  if (other_restores.length === 0) return;
  const named = other_restores.slice(0, restoresNamed).join(", ");
  const more = other_restores.length - restoresNamed;
  warn(
    `by restore ${restore_id}, which finished last; --restore-id chooses another: ` +
      `${named}${more > 0 ? ` and ${more} more` : ""}`,
  );
}
