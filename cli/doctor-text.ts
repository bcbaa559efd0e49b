/** An examination for people: a line for each check, then what to do. */
import type { Io } from "#cli/io.ts";
import { printable, tableText } from "#cli/output.ts";
import { durationText, numbered } from "#cli/text.ts";
import type { CheckResult, DoctorReport } from "#core/doctor/contract.ts";

export async function doctorText(io: Io, report: DoctorReport): Promise<string> {
  const { mode, backup_id, storage, checks, findings } = report;
  const table = await tableText(io, {
    head: ["about", "check", "", "seen", "took"],
    rows: checks.map((check) => [
      check.subject,
      check.check,
      statusText(report, check),
      check.seen,
      check.status === "skipped" ? "-" : durationText(check.duration_ms),
    ]),
    alignRight: [4],
  });
  const lines = findings.map(
    ({ severity, subject, check, message, remedy }) =>
      `${severity}: ${subject} ${check}: ${printable(message)}\n  ${printable(remedy)}\n`,
  );
  return [
    `Doctor: ${mode} of "${backup_id}", ${storage}\n`,
    table,
    ...(lines.length > 0 ? ["\n", ...lines] : []),
    `\n${conclusion(report)}\n`,
  ].join("");
}

function statusText({ findings }: DoctorReport, { subject, check, status }: CheckResult): string {
  if (status !== "found") return status === "passed" ? "ok" : status;
  const own = findings.filter((one) => one.subject === subject && one.check === check);
  const isError = own.some(({ severity }) => severity === "error");
  return isError ? "error" : "warning";
}

function conclusion({ findings, checks }: DoctorReport): string {
  const count = (wanted: string) => findings.filter(({ severity }) => severity === wanted).length;
  const skipped = checks.filter(({ status }) => status === "skipped").length;
  const rest = skipped > 0 ? `; ${numbered(skipped, "check")} skipped` : "";
  const [errors, warnings] = [count("error"), count("warning")];
  if (errors + warnings === 0) return `Nothing to mend${rest}.`;
  return `${numbered(errors, "error")}, ${numbered(warnings, "warning")}${rest}.`;
}
