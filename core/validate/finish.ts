/** The last step of a validation: what was found, in one report. */
import { FindingLog, type LoggedFindings } from "#core/validate/finding-log.ts";
import { finding, type ValidationLevel } from "#core/validate/findings.ts";
import type { CheckedManifests } from "#core/validate/manifest-history.ts";
import type { KnownOrphans, UnknownOrphans } from "#core/validate/orphans.ts";
import type { ValidationPlan } from "#core/validate/plan.ts";
import type { SegmentValidation } from "#core/validate/segment.ts";

/** All segments' results in one, of bounded size. */
export class SegmentResults {
  readonly #log = new FindingLog();
  readonly read = { bytes: 0, batches: 0, records: 0 };

  add(result: Pick<SegmentValidation, "read"> & LoggedFindings): void {
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
  readonly backup_id: string;
  readonly level: ValidationLevel;
  readonly manifests: CheckedManifests;
  readonly plan: Pick<ValidationPlan, "run_count" | "segment_count"> & LoggedFindings;
  readonly segments: SegmentResults;
  readonly orphans: KnownOrphans | UnknownOrphans;
}

export async function finishValidation(parts: ValidationParts): Promise<ValidationReport> {
  const { backup_id, level, manifests, plan, segments, orphans: found } = parts;
  const log = new FindingLog();
  log.add(...manifests.findings);
  log.addLogged(plan);
  log.addLogged(segments.findings());
  const count = { objects: 0, bytes: 0 };
  if ("problem" in found) {
    const message = `what a damaged document names is not known: ${found.problem}`;
    log.add(finding("orphans_unknown", message));
  }
  const orphans = "orphans" in found ? found.orphans : [];
  for await (const { key, kind, bytes } of orphans) {
    count.objects += 1;
    count.bytes += bytes;
    const message = `${key} (${kind}, ${bytes} bytes) is named by no manifest and no open run`;
    log.add(finding("object_orphaned", message, { key }));
  }
  const logged = log.result();
  return {
    status: logged.counts.error > 0 ? "damaged" : "sound",
    backup_id,
    level,
    generation: manifests.generation,
    checked: {
      manifests: manifests.manifest_count,
      runs: plan.run_count,
      segments: plan.segment_count,
      ...segments.read,
    },
    orphans: count,
    ...logged,
  };
}
