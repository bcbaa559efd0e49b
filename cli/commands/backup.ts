/** `kafka-backup backup`: one run, full or incremental, from a configuration file. */
import { type Configure, configHelp, withExamples } from "#cli/command.ts";
import { commandConfigHelp } from "#cli/command-config.ts";
import { failedPartitionsText } from "#cli/failed-partitions.ts";
import type { Io } from "#cli/io.ts";
import { tableText } from "#cli/output.ts";
import { connectTo, openCatalogOn, openStorageAt, readBackupConfig } from "#cli/runtime.ts";
import {
  bytesText,
  countText,
  durationText,
  numbered,
  rateText,
  ratioText,
  throttledText,
  timeText,
} from "#cli/text.ts";
import type { BackupResult } from "#core/backup/contract.ts";
import { backupRequestOf } from "#core/backup/request.ts";
import { exitCodes } from "#core/errors.ts";

interface BackupArguments {
  readonly config: string;
  readonly commandConfig?: string;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup backup --config backup.yaml", "the first run is full, later ones continue it"],
    ["kafka-backup backup --config backup.yaml --format json | jq .record_count", "for scripts"],
  ]);
  command
    .requiredOption("--config <file>", configHelp)
    .option("--command-config <file>", commandConfigHelp);
  context.action(command, async (session, options: BackupArguments) => {
    const config = await readBackupConfig(session, options.config);
    const { runBackup } = await import("#core/backup/run.ts");
    const storage = await openStorageAt(session, config.storage);
    const catalog = await openCatalogOn(session, storage, config.catalog);
    const lanes = config.backup.max_concurrent_partitions;
    const cluster = await connectTo(session, "source", config.source, {
      lanes,
      commandConfig: options.commandConfig,
    });
    const { clock, logger, newId } = session;
    session.stopWhenNothingAnswers();
    const { onProgress, stop } = session.progress("backup");
    const deps = { storage, catalog, cluster, clock, logger, newId, onProgress };
    const result = await runBackup(deps, backupRequestOf(config), session.deadline);
    stop();
    warnOfHangingTransactions(result, (line) => logger.warn(line));
    warnOfUnreadTransactions(result, (line) => logger.warn(line));
    await session.write(result, () => backupText(session.io, result));
    return result.status === "done" ? exitCodes.done : exitCodes.doneWithGaps;
  });
};

/** The broker's default transaction.max.timeout.ms: an older transaction has lost its producer. */
const transactionAgeMsMax = 15 * 60 * 1000;

function warnOfHangingTransactions(result: BackupResult, warn: (line: string) => void): void {
  for (const { topic, partition, ...open } of result.hanging_transactions) {
    if (open.age_ms < transactionAgeMsMax) continue;
    warn(
      `${topic}-${partition}: the transaction of producer ${open.producer_id} is open since offset ` +
        `${open.start_offset}, ${durationText(open.age_ms)} ago; records behind it are not backed up. ` +
        "`kafka-transactions.sh abort` ends it.",
    );
  }
}

function warnOfUnreadTransactions(result: BackupResult, warn: (line: string) => void): void {
  for (const { topic, partition, message } of result.unread_transactions) {
    warn(`${topic}-${partition}: whether a transaction hangs is not known: ${message}`);
  }
}

async function backupText(io: Io, result: BackupResult): Promise<string> {
  const what =
    result.record_count === 0 ? "Nothing new" : `${numbered(result.record_count, "record")}`;
  const lines = [
    `Backup ${result.backup_id}, generation ${result.generation}: ${what} from ` +
      `${numbered(result.topics, "topic")} and ${numbered(result.partitions, "partition")} ` +
      `in ${durationText(result.duration_ms)}.`,
  ];
  const throttled = throttledText(result.throttled_ms).trim();
  if (throttled !== "") lines.push(throttled);
  if (result.resumed) lines.push("It continued a run that had been interrupted.");
  if (result.record_count > 0) {
    lines.push(
      `${bytesText(result.batch_bytes)} stored in ${bytesText(result.stored_bytes)} ` +
        `(${ratioText(result.batch_bytes, result.stored_bytes)}), ` +
        `${rateText(result.batch_bytes, result.duration_ms)}, ` +
        `${numbered(result.segment_count, "segment")}.`,
    );
  }
  const heading = "Failed partitions; the others are backed up.";
  return [
    `${lines.join("\n")}\n`,
    await gapsText(io, result),
    await failedPartitionsText(io, heading, result.failed),
  ].join("");
}

async function gapsText(io: Io, { gaps }: BackupResult): Promise<string> {
  if (gaps.length === 0) return "";
  const table = await tableText(io, {
    head: ["topic", "partition", "lost from", "to", "reason", "seen at"],
    rows: gaps.map((gap) => [
      gap.topic,
      String(gap.partition),
      countText(gap.from_offset),
      countText(gap.to_offset - 1n),
      gap.reason,
      timeText(gap.detected_at),
    ]),
    alignRight: [1, 2, 3],
  });
  return `\nGaps: Kafka had deleted these offsets before they could be read.\n${table}`;
}
