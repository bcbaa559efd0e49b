/** What `restore` tells people: the plan of a dry run, the report, what was given up. */
import { failedPartitionsText } from "#cli/failed-partitions.ts";
import type { Io } from "#cli/io.ts";
import { printable, tableText } from "#cli/output.ts";
import {
  bytesText,
  countText,
  durationText,
  numbered,
  rateText,
  throttledText,
  timeText,
} from "#cli/text.ts";
import type { AbandonResult } from "#core/restore/abandon.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import type { DryRun, DryRunTopic } from "#core/restore/dry-run.ts";
import { type Finding, findingLine } from "#core/restore/findings.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import type { RestoreResult } from "#core/restore/run.ts";

export async function dryRunText(io: Io, plan: DryRun): Promise<string> {
  return `${await restorePlanText(io, plan)}\n${wouldText(plan)}\n`;
}

/** The same without its last line, for a restore that is a part of something larger. */
export async function restorePlanText(io: Io, plan: DryRun): Promise<string> {
  const table = await tableText(io, {
    head: ["topic", "into", "target", "partitions", "records", "bytes"],
    rows: plan.topics.map((topic) => [
      topic.source_topic,
      topic.target_topic,
      targetText(plan, topic),
      countText(topic.partitions.length),
      atMost(topic, countText(topic.record_count)),
      atMost(topic, bytesText(topic.batch_bytes)),
    ]),
    alignRight: [3, 4, 5],
  });
  return [
    `Restore of backup ${plan.backup_id}, generation ${plan.generation}${windowText(plan.window)}, ` +
      `into cluster ${plan.target_cluster_id}. Nothing was written.\n`,
    table,
    findingsText(plan.findings),
  ].join("");
}

function targetText({ would }: DryRun, { target }: DryRunTopic): string {
  if (would === "already_done") return "restored";
  if (target === undefined) return "-";
  return target.target_topic_id === null
    ? `new, ${numbered(target.partition_count, "partition")}, RF ${target.replication_factor}`
    : `there, ${numbered(target.partition_count, "partition")}`;
}

function atMost({ is_exact }: DryRunTopic, text: string): string {
  return is_exact ? text : `<= ${text}`;
}

function wouldText(plan: DryRun): string {
  switch (plan.would) {
    case "begin":
      return "The same command without --dry-run would restore this.";
    case "continue":
      return `The same command without --dry-run would continue restore ${plan.restore_id}.`;
    case "already_done":
      return `Restore ${plan.restore_id} has done this, and the topics are as it left them.`;
    case "refuse":
      return "The restore would be refused: see the errors above.";
  }
}

function windowText({ start, end }: TimeWindow): string {
  if (start === undefined && end === undefined) return "";
  if (start === undefined) return `, up to ${timeText(end)}`;
  return `, from ${timeText(start)}${end === undefined ? "" : ` to ${timeText(end)}`}`;
}

function findingsText(findings: readonly Finding[]): string {
  if (findings.length === 0) return "";
  const lines = findings.map((finding) => {
    const line = `${finding.severity}: ${printable(findingLine(finding))}\n`;
    return finding.remedy === "" ? line : `${line}  ${printable(finding.remedy)}\n`;
  });
  return `\n${lines.join("")}`;
}

export async function restoreText(io: Io, result: RestoreResult): Promise<string> {
  const { report } = result;
  const table = await tableText(io, {
    head: ["topic", "into", "partitions", "records", "bytes", "batches raw", "encoded"],
    rows: report.topics.map((topic) => [
      topic.source_topic,
      `${topic.target_topic}${topic.created ? " (new)" : ""}`,
      countText(topic.partitions.length),
      countText(topic.record_count),
      bytesText(topic.sent.bytes),
      countText(topic.sent.raw),
      countText(topic.sent.encoded),
    ]),
    alignRight: [2, 3, 4, 5, 6],
  });
  return [
    `${headline(result)}\n`,
    table,
    `\n${phasesText(report)}\n`,
    findingsText(report.findings),
    keptText(report),
    await failuresText(io, result),
  ].join("");
}

function headline({ status, report }: RestoreResult): string {
  const id = `Restore ${report.restore_id}`;
  const what =
    `${numbered(Number(report.record_count), "record")} in ` +
    `${numbered(report.partition_count, "partition")} of backup ${report.backup_id}, generation ` +
    `${report.manifest.generation}${windowText(report.window)}`;
  switch (status) {
    case "done":
      return `${id} is done and verified: ${what}.`;
    case "already_done":
      return (
        `${id} was finished at ${timeText(report.finished_at)}, and its topics are as it left ` +
        `them: ${what}. To restore once more, pass --new.`
      );
    case "incomplete":
      return `${id} is not complete; restored and verified are ${what}.`;
  }
}

function phasesText(report: RestoreReport): string {
  const durations = report.phases.map(
    ({ phase, duration_ms }) => `${phase} ${durationText(duration_ms)}`,
  );
  const restoring = report.phases.find(({ phase }) => phase === "restore");
  // What earlier attempts sent did not take this one's time.
  const rate =
    restoring === undefined || report.resumed
      ? ""
      : `, restored at ${rateText(report.sent.bytes, restoring.duration_ms)}`;
  const resumed = report.resumed
    ? " It continued an earlier attempt; times are the last one's."
    : "";
  return `Took ${durations.join(", ")}${rate}.${resumed}${throttledText(report.throttled_ms)}`;
}

function keptText({ kept_settings }: RestoreReport): string {
  if (kept_settings.length === 0) return "";
  const lines = kept_settings.map(
    ({ topic, name, value, wanted, reason, command }) =>
      `${topic}: ${name} stays ${value}, ${wanted} would delete records: ${reason}\n  ${command}\n`,
  );
  return `\nRetention that is still off; run the command when the data may expire again:\n${lines.join("")}`;
}

function failuresText(io: Io, { failed, report }: RestoreResult): Promise<string> {
  const heading =
    "Failed partitions. Their topics keep the settings of a restore: the same command\n" +
    `continues it, --abandon ${report.restore_id} gives it up.`;
  return failedPartitionsText(io, heading, failed);
}

export function abandonText({ restore_id, topics }: AbandonResult): string {
  const lines = topics.map(({ topic, settings_put_back }) =>
    settings_put_back
      ? `${topic}: settings are as before; what was restored is still in it\n`
      : `${topic}: nothing to put back\n`,
  );
  return `Restore ${restore_id} is given up.\n${lines.join("")}`;
}
