/** `kafka-backup inspect`: records of a backup, as a person wants to see them. */
import { type Command, Option } from "commander";
import { type Configure, pathHelp, withExamples } from "#cli/command.ts";
import { inspectionText } from "#cli/inspection-text.ts";
import { atLeast, offset } from "#cli/option-values.ts";
import { openCatalogOn } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { openStoredAt } from "#cli/stored-location.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import type { InspectRequest } from "#core/inspect/inspect.ts";
import { type ByteForm, byteForms } from "#core/inspect/shown-bytes.ts";

/** A screen of 24 lines less head and foot. */
const recordsShown = 20;
/** Of a key, a value or a header: what fits on a line is fewer, see `--details`. */
const bytesShown = 1_000;

interface InspectOptions {
  readonly path: string;
  readonly backupId: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly segment?: string;
  readonly lineage?: number;
  readonly generation?: number;
  readonly fromOffset?: bigint;
  readonly toOffset?: bigint;
  readonly fromTime?: string;
  readonly limit: number;
  readonly maxBytes: number;
  readonly show: ByteForm;
  readonly details?: true;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [
      "kafka-backup inspect --path /backups --backup-id nightly --topic orders --partition 0",
      "the first records of a partition",
    ],
    [
      "kafka-backup inspect --path /backups --backup-id nightly --topic orders --partition 0 --from-time 2025-01-15T10:30:00Z",
      "from a time on: to find the bound of a restore",
    ],
    [
      "kafka-backup inspect --path /backups --backup-id nightly --topic orders --partition 0 --from-offset 4711 --limit 1 --details",
      "one record with its headers and its batch",
    ],
  ]);
  withWhere(command)
    .option("--limit <count>", "how many records to show", atLeast(1), recordsShown)
    .option(
      "--max-bytes <count>",
      "cut keys, values and headers behind so many bytes",
      atLeast(1),
      bytesShown,
    )
    .addOption(
      new Option("--show <form>", "bytes as text, as hexadecimal, or as text where it is text")
        .choices(byteForms)
        .default("auto"),
    )
    .option("--details", "every record on lines of its own, with its headers and its batch");
  command.addHelpText(
    "after",
    "\nShown are the records that a restore would bring: what Kafka had deleted before it could\n" +
      "be read is not among them. Nothing is asked of Kafka.",
  );
  context.action(command, run);
};

function withWhere(command: Command): Command {
  return command
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--backup-id <id>", "the backup, as list shows it")
    .option("--topic <name>", "as it was named at the source")
    .option("--partition <number>", "of the topic", atLeast(0))
    .addOption(
      new Option("--segment <key>", "in their place: one segment, as validate names it").conflicts([
        "topic",
        "partition",
        "lineage",
      ]),
    )
    .option("--lineage <number>", "an older life of a re-created topic", atLeast(1))
    .option("--generation <number>", "an older manifest than the newest", atLeast(1))
    .option("--from-offset <offset>", "no records below it", offset)
    .option("--to-offset <offset>", "no records above it", offset)
    .option("--from-time <time>", "begin at this time: Unix milliseconds or ISO 8601");
}

async function run(session: Session, options: InspectOptions): Promise<number> {
  const { inspect, partitionOfSegment } = await import("#core/inspect/inspect.ts");
  const { topic, partition, segment } = options;
  const at = segment === undefined ? given(topic, partition) : partitionOfSegment(segment);
  const storage = await openStoredAt(session, options.path);
  const catalog = await openCatalogOn(session, storage);
  const { lineage, generation, fromOffset, toOffset, fromTime } = options;
  const request: InspectRequest = {
    ...{ backup_id: options.backupId, ...at },
    ...(segment !== undefined && { segment }),
    ...(lineage !== undefined && { lineage }),
    ...(generation !== undefined && { generation }),
    ...(fromOffset !== undefined && { from_offset: fromOffset }),
    ...(toOffset !== undefined && { to_offset: toOffset }),
    ...(fromTime !== undefined && { from_time: await timeOf(fromTime) }),
    ...{ records_max: options.limit, form: options.show, bytes_max: options.maxBytes },
  };
  const inspection = await inspect({ storage, catalog }, request, session.deadline);
  const isDetailed = options.details === true;
  await session.write(inspection, () => inspectionText(session.io, inspection, isDetailed));
  return exitCodes.done;
}

function given(topic: string | undefined, partition: number | undefined) {
  if (topic !== undefined && partition !== undefined) return { topic, partition };
  throw new BackupError(
    "InvalidRequestError",
    topic === undefined ? "--topic or --segment is needed" : "--partition is needed",
    { hint: "`kafka-backup describe` shows topics and partitions of the backup." },
  );
}

async function timeOf(text: string): Promise<bigint> {
  const { timeBound } = await import("#core/config/values.ts");
  const result = timeBound.safeParse(text);
  if (result.success) return result.data;
  throw new BackupError("InvalidRequestError", `--from-time ${result.error.issues[0]?.message}`);
}
