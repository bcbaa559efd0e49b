/** The report of a validation as it is stored, and the little of it that a state machine tells. */
import { z } from "zod";
import { formatVersion } from "#core/catalog/manifest.ts";
import type { ErrorName } from "#core/errors.ts";
import { int64 } from "#core/json.ts";
import { type Finding, severityRank } from "#core/validate/findings.ts";
import type { ValidationReport } from "#core/validate/finish.ts";
import { logged, uncheckedSegment, validation } from "#core/validate/steps/contract.ts";
import { excerptOf } from "#core/work-items/excerpt.ts";

const count = z.int().min(0);

/**
 * `validations/{validation_id}.json`: what `kafka-backup validate --format json` prints, and what
 * only a validation by several processes has.
 */
export const storedReport = validation.extend({
  format_version: z.literal(formatVersion),
  /** `incomplete`: no damage was found, but segments are unchecked. */
  status: z.enum(["sound", "damaged", "incomplete"]),
  started_at: int64,
  finished_at: int64,
  checked: z.object({
    ...{ manifests: count, runs: count, segments: count },
    ...{ bytes: count, batches: count, records: count },
  }),
  orphans: z.object({ objects: count, bytes: count }),
  unchecked: excerptOf(uncheckedSegment),
  ...logged,
}) satisfies z.ZodType<Omit<ValidationReport, "status">>;
export type StoredReport = z.infer<typeof storedReport>;

/** What the execution of a state machine answers, or fails with. */
export interface ValidationResult
  extends Omit<StoredReport, "format_version" | "findings" | "left_out"> {
  /** The gravest ones. */
  readonly findings: { readonly count: number; readonly first: readonly Finding[] };
  /** Where all findings are. */
  readonly report: string;
  /** Of what is not sound, as a Fail state wants it: the error's name, and what it says. */
  readonly failure?: { readonly Error: ErrorName | string; readonly Cause: string };
}

const findingsTold = 5;

/** `url`: of the stored report. */
export function resultOf(stored: StoredReport, url: string): ValidationResult {
  const { format_version: _, findings, left_out, ...report } = stored;
  const first = findings
    .toSorted((a, b) => severityRank[a.severity] - severityRank[b.severity])
    .slice(0, findingsTold);
  const failure = failureOf(stored, first, url);
  return {
    ...report,
    findings: { count: findings.length + left_out, first },
    report: url,
    ...(failure !== undefined && { failure }),
  };
}

function failureOf(
  { status, backup_id, generation, level, counts, unchecked }: StoredReport,
  [gravest]: readonly Finding[],
  url: string,
): ValidationResult["failure"] {
  const what = `backup ${backup_id}, generation ${generation}, ${level} level`;
  switch (status) {
    case "sound":
      return undefined;
    case "damaged": {
      const told = `${gravest?.code}: ${gravest?.message}`;
      const Cause = `${what}: ${counts.error} errors; all are in ${url}; the first is ${told}`;
      return { Error: "BackupDamagedError", Cause };
    }
    case "incomplete": {
      const first = unchecked.first[0]!;
      const told = `${first.key}: ${first.error}: ${first.message}`;
      const Cause = `${what}: ${unchecked.count} segments were not checked; the first is ${told}`;
      return { Error: first.error, Cause };
    }
  }
}
