/** `kafka-backup describe`: what one backup holds and how far it can be restored. */
import { type Configure, pathHelp, tableHelp, withExamples } from "#cli/command.ts";
import type { Io } from "#cli/io.ts";
import { atLeast } from "#cli/option-values.ts";
import { printable, tableText } from "#cli/output.ts";
import { openCatalogOn, tableNamed } from "#cli/runtime.ts";
import { openStoredAt } from "#cli/stored-location.ts";
import { bytesText, countText, durationText, numbered, ratioText, timeText } from "#cli/text.ts";
import type {
  BackupDescription,
  DescribedLineage,
  DescribedTotals,
  OffsetRange,
} from "#core/describe/describe.ts";
import type { DescribedRestore } from "#core/describe/restores.ts";
import { exitCodes } from "#core/errors.ts";

const runsShown = 10;
const restoresShown = 5;

interface DescribeOptions {
  readonly path: string;
  readonly table?: string;
  readonly backupId: string;
  readonly generation?: number;
  readonly runs: number;
  readonly restores: number;
}

interface Described extends BackupDescription {
  readonly restores: readonly DescribedRestore[];
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup describe --path /backups --backup-id orders", "what can be restored"],
    [
      "kafka-backup describe --path /backups --backup-id orders --generation 12",
      "what could be restored after an earlier run",
    ],
    [
      "kafka-backup describe --path s3://bucket/prefix --table kafka-backup --backup-id orders",
      "out of the table, where it has it: no manifest is read then",
    ],
  ]);
  command
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--backup-id <id>", "the backup, as list shows it")
    .option("--generation <number>", "an older manifest than the newest", atLeast(1))
    .option("--runs <count>", "how many of the newest runs to show", atLeast(0), runsShown)
    .option("--restores <count>", "the same of restores out of it", atLeast(0), restoresShown)
    .option("--table <name>", tableHelp);
  command.addHelpText("after", "\nExits 13 where documents of a restore cannot be read.");
  context.action(command, async (session, options: DescribeOptions) => {
    const { describeBackup } = await import("#core/describe/describe.ts");
    const storage = await openStoredAt(session, options.path);
    const catalog = await openCatalogOn(session, storage, tableNamed(options.table));
    const request = {
      backup_id: options.backupId,
      ...(options.generation !== undefined && { generation: options.generation }),
      runs_max: options.runs,
    };
    const description = await describeBackup({ catalog }, request, session.deadline);
    const { describeRestores } = await import("#core/describe/restores.ts");
    const { backupId, restores: max } = options;
    const restores = await describeRestores({ storage, catalog }, backupId, max, session.deadline);
    const described = { ...description, restores };
    await session.write(described, () => descriptionText(session.io, described));
    const isDamaged = restores.some(({ status }) => status === "unreadable");
    return isDamaged ? exitCodes.damaged : exitCodes.done;
  });
};

async function descriptionText(io: Io, description: Described): Promise<string> {
  const sections = [
    summaryText(description),
    await topicsText(io, description),
    await partitionsText(io, description),
    await gapsText(io, description),
    await runsText(io, description),
    await restoresText(io, description),
  ];
  return sections.filter((section) => section !== "").join("\n");
}

function summaryText(description: BackupDescription): string {
  const { totals, dropped } = description;
  const lines = [
    ["backup", description.backup_id],
    ["cluster", description.cluster_id],
    ["generation", `${description.generation}, ${numbered(description.run_count, "run")}`],
    ["restorable until", timeText(description.restorable_until)],
    ["first run", timeText(description.first_planned_at)],
    ["records", countText(totals.record_count)],
    ["original", bytesText(totals.original_bytes)],
    ["stored", `${storedText(totals)}, ${numbered(totals.segment_count, "segment")}`],
    ["gaps", countText(description.gap_count)],
    [
      "left out",
      `${countText(dropped.aborted)} aborted, ${countText(dropped.control)} control and ` +
        `${countText(dropped.empty)} emptied batches`,
    ],
    ["written by", description.created_by],
  ];
  return lines.map(([name, value]) => `${`${name}:`.padEnd(18)}${value}\n`).join("");
}

function storedText({ original_bytes, stored_bytes }: DescribedTotals): string {
  return `${bytesText(stored_bytes)} (${ratioText(original_bytes, stored_bytes)})`;
}

function topicsText(io: Io, { topics }: BackupDescription): Promise<string> {
  return tableText(io, {
    head: ["topic", "partitions", "records", "original", "stored", "gaps", "restorable until"],
    rows: topics.map((topic) => [
      topic.name,
      archivedOf(topic.partitions.length, topic.partition_count),
      countText(topic.totals.record_count),
      bytesText(topic.totals.original_bytes),
      storedText(topic.totals),
      countText(topic.gap_count),
      timeText(topic.restorable_until),
    ]),
    alignRight: [1, 2, 3, 4, 5],
  });
}

/** `3` where all are archived, else `2 of 3`. */
function archivedOf(archived: number, all: number): string {
  return archived === all ? countText(all) : `${countText(archived)} of ${countText(all)}`;
}

interface LineageRow {
  readonly topic: string;
  readonly partition: number;
  readonly lineage: DescribedLineage;
}

function lineageRows({ topics }: BackupDescription): LineageRow[] {
  return topics.flatMap((topic) =>
    topic.partitions.flatMap(({ partition, lineages }) =>
      lineages.map((lineage) => ({ topic: topic.name, partition, lineage })),
    ),
  );
}

function partitionsText(io: Io, description: BackupDescription): Promise<string> {
  return tableText(io, {
    head: [
      "topic",
      "partition",
      "lineage",
      "records",
      "offsets",
      "newest record",
      "restorable until",
    ],
    rows: lineageRows(description).map(({ topic, partition, lineage }) => [
      topic,
      String(partition),
      String(lineage.lineage),
      countText(lineage.totals.record_count),
      rangesText(lineage.restorable),
      timeText(lineage.max_timestamp),
      timeText(lineage.restorable_until),
    ]),
    alignRight: [1, 2, 3],
  });
}

const rangesShown = 3;

/** Inclusive at both ends, as people count: `0-99, 150-299`. */
function rangesText(ranges: readonly OffsetRange[]): string {
  if (ranges.length === 0) return "none";
  const shown = ranges
    .slice(0, rangesShown)
    .map(({ from_offset, to_offset }) => `${from_offset}-${to_offset - 1n}`);
  const left = ranges.length - shown.length;
  return `${shown.join(", ")}${left > 0 ? `, ${left} more` : ""}`;
}

async function gapsText(io: Io, description: BackupDescription): Promise<string> {
  const gaps = lineageRows(description).flatMap(({ topic, partition, lineage }) =>
    lineage.gaps.map((gap) => ({ topic, partition, lineage: lineage.lineage, ...gap })),
  );
  if (gaps.length === 0) return "";
  const table = await tableText(io, {
    head: ["topic", "partition", "lineage", "lost from", "to", "reason", "seen at", "run"],
    rows: gaps.map((gap) => [
      gap.topic,
      String(gap.partition),
      String(gap.lineage),
      countText(gap.from_offset),
      countText(gap.to_offset - 1n),
      gap.reason,
      timeText(gap.detected_at),
      gap.run_id,
    ]),
    alignRight: [1, 2, 3, 4],
  });
  return `Gaps: Kafka had deleted these offsets before they could be read.\n${table}`;
}

async function runsText(io: Io, { runs, run_count }: BackupDescription): Promise<string> {
  if (runs.length === 0) return "";
  const table = await tableText(io, {
    head: ["run", "planned", "took", "records", "original", "stored"],
    rows: runs.map((run) => [
      run.run_id,
      timeText(run.planned_at),
      durationText(Number(run.finished_at - run.started_at)),
      countText(run.totals.record_count),
      bytesText(run.totals.original_bytes),
      storedText(run.totals),
    ]),
    alignRight: [2, 3, 4, 5],
  });
  const older = run_count - runs.length;
  return older > 0 ? `${table}and ${numbered(older, "older run")}\n` : table;
}

async function restoresText(io: Io, { restores }: Described): Promise<string> {
  if (restores.length === 0) return "";
  const table = await tableText(io, {
    head: [
      "restore",
      "state",
      "generation",
      "up to",
      "partitions",
      "records",
      "cluster",
      "begun",
      "ended",
    ],
    rows: restores.map((restore) => {
      if (restore.status === "unreadable") return [restore.restore_id, "damaged"];
      return [
        restore.restore_id,
        restore.status,
        String(restore.generation),
        timeText(restore.window_end),
        countText(restore.partition_count),
        restore.record_count === undefined ? "-" : countText(restore.record_count),
        restore.target_cluster_id,
        timeText(restore.begun_at),
        timeText(restore.ended_at),
      ];
    }),
    alignRight: [2, 4, 5],
  });
  const damaged = restores.flatMap((restore) =>
    restore.status === "unreadable" ? [`${printable(restore.message)}\n`] : [],
  );
  return `${table}${damaged.join("")}`;
}
