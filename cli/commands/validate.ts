/** `kafka-backup validate`: whether a backup is what it was when it was written. */
import { type Configure, pathHelp, withExamples } from "#cli/command.ts";
import { printable } from "#cli/output.ts";
import { openCatalogOn } from "#cli/runtime.ts";
import { openStoredAt } from "#cli/stored-location.ts";
import { bytesText, countText, numbered } from "#cli/text.ts";
import { exitCodes } from "#core/errors.ts";
import { type Finding, severityRank } from "#core/validate/findings.ts";
import type { ValidationReport } from "#core/validate/finish.ts";

interface ValidateOptions {
  readonly path: string;
  readonly backupId: string;
  readonly deep?: boolean;
}

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [
      "kafka-backup validate --path /backups --backup-id orders",
      "hash chain, documents, continuity; existence and size of every segment",
    ],
    [
      "kafka-backup validate --path /backups --backup-id orders --deep",
      "every byte besides: hashes, CRCs, records",
    ],
  ]);
  command
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--backup-id <id>", "the backup, as list shows it")
    .option("--deep", "read every segment, batch and record");
  command.addHelpText("after", "\nExits 0 where the backup is sound, 13 where it is damaged.");
  context.action(command, async (session, options: ValidateOptions) => {
    const { runValidation } = await import("#core/validate/run.ts");
    const storage = await openStoredAt(session, options.path);
    const catalog = await openCatalogOn(session, storage);
    const level = options.deep ? ("deep" as const) : ("shallow" as const);
    const { onProgress, stop } = session.progress("validate");
    const request = { backup_id: options.backupId, level };
    const report = await runValidation({ storage, catalog, onProgress }, request, session.deadline);
    stop();
    await session.write(report, () => reportText(report));
    return report.status === "sound" ? exitCodes.done : exitCodes.damaged;
  });
};

/** What fits a few screens; `--format json` has all. */
const findingsShown = 100;

function reportText(report: ValidationReport): string {
  const gravestFirst = [...report.findings].sort(
    (a, b) => severityRank[a.severity] - severityRank[b.severity],
  );
  const shown = gravestFirst.slice(0, findingsShown);
  const hidden = report.findings.length + report.left_out - shown.length;
  const more = hidden > 0 ? `and ${numbered(hidden, "more finding")}\n\n` : "";
  return `${shown.map(findingText).join("")}${more}${summaryText(report)}`;
}

function findingText({ severity, code, message, remedy, ...place }: Finding): string {
  const where = placeText(place);
  const lines = [
    `${severity.toUpperCase()} ${code}${where === "" ? "" : `: ${where}`}`,
    `  ${message}`,
    `  remedy: ${remedy}`,
  ];
  return `${lines.map(printable).join("\n")}\n\n`;
}

/** The object is in the message. */
function placeText({ topic, partition, lineage, offset }: Partial<Finding>): string {
  if (topic === undefined) return "";
  const older = lineage === undefined || lineage === 1 ? "" : ` lineage ${lineage}`;
  return `${topic}-${partition}${older}${offset === undefined ? "" : ` at offset ${offset}`}`;
}

function summaryText({ status, level, checked, counts, ...report }: ValidationReport): string {
  const read =
    level === "deep"
      ? `, ${bytesText(checked.bytes)} with ${countText(checked.batches)} batches and ` +
        numbered(checked.records, "record")
      : "";
  const found = [
    numbered(counts.error, "error"),
    numbered(counts.warning, "warning"),
    `${countText(counts.info)} for information`,
  ];
  const lines = [
    `Backup ${report.backup_id}, generation ${report.generation}, is ${status.toUpperCase()} ` +
      `at the ${level} level.`,
    `Checked ${numbered(checked.manifests, "manifest")}, ${numbered(checked.runs, "run")}, ` +
      `${numbered(checked.segments, "segment")}${read}: ${found.join(", ")}.`,
  ];
  const { objects, bytes } = report.orphans;
  if (objects > 0) {
    lines.push(
      `${numbered(objects, "object")} (${bytesText(bytes)}) that nothing names; ` +
        "`kafka-backup prune --orphans` lists them.",
    );
  }
  return `${lines.map(printable).join("\n")}\n`;
}
