/** The last step of a validation: what was found, in one report. */
import type { Orphan } from "#core/prune/orphans.ts";
import { FindingLog, type LoggedFindings } from "#core/validate/finding-log.ts";
import { finding, type ValidationLevel } from "#core/validate/findings.ts";
import type { ManifestHistory } from "#core/validate/manifest-history.ts";
import type { ValidationPlan } from "#core/validate/plan.ts";
import type { SegmentValidation } from "#core/validate/segment.ts";

/** All segments' results in one, of bounded size. */
export class SegmentResults {
  readonly #log = new FindingLog();
  readonly read = { bytes: 0, batches: 0, records: 0 };

  add(result: SegmentValidation): void {
    this.#log.addLogged(result);
    this.read.bytes += result.read.bytes;
    this.read.batches += result.read.batches;
    this.read.records += result.read.records;
  }

  findings(): LoggedFindings {
    return this.#log.result();
  }
}

export interface ValidationReport extends LoggedFindings {
  /** `damaged` where there is a finding of severity `error`. */
  readonly status: "sound" | "damaged";
  readonly backup_id: string;
  readonly level: ValidationLevel;
  /** Of the newest manifest that can be read; 0 where there is none. */
  readonly generation: number;
  readonly checked: {
    readonly manifests: number;
    readonly runs: number;
    readonly segments: number;
    /** Bytes of segments, batches and records that were read: all 0 at the shallow level. */
    readonly bytes: number;
    readonly batches: number;
    readonly records: number;
  };
  readonly orphans: { readonly objects: number; readonly bytes: number };
}

export interface ValidationParts {
  readonly level: ValidationLevel;
  readonly history: ManifestHistory;
  readonly plan: ValidationPlan;
  readonly segments: SegmentResults;
  /** Undefined where damage to a document kept it from being known. */
  readonly orphans: AsyncIterable<Orphan> | undefined;
}

export async function finishValidation(parts: ValidationParts): Promise<ValidationReport> {
  const { level, history, plan, segments, orphans } = parts;
  const log = new FindingLog();
  log.add(...history.findings);
  log.addLogged(plan);
  log.addLogged(segments.findings());
  const count = { objects: 0, bytes: 0 };
  if (orphans === undefined) {
    log.add(finding("orphans_unknown", "a damaged document hides what it names"));
  }
  for await (const { key, kind, bytes } of orphans ?? []) {
    count.objects += 1;
    count.bytes += bytes;
    const message = `${key} (${kind}, ${bytes} bytes) is named by no manifest and no open run`;
    log.add(finding("object_orphaned", message, { key }));
  }
  const logged = log.result();
  return {
    status: logged.counts.error > 0 ? "damaged" : "sound",
    backup_id: history.backupId,
    level,
    generation: history.newest?.manifest.generation ?? 0,
    checked: {
      manifests: history.manifestCount,
      runs: plan.run_count,
      segments: plan.segment_count,
      ...segments.read,
    },
    orphans: count,
    ...logged,
  };
}
