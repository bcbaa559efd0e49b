/**
 * A whole validation in one process, for the command line: manifests, plan, segments, orphans,
 * report. The state machine does the same steps in the same order.
 */
import { lineagesOf } from "#core/catalog/totals.ts";
import { BackupError } from "#core/errors.ts";
import { readNamedKeys } from "#core/prune/named-keys.ts";
import { findOrphans, type Orphan } from "#core/prune/orphans.ts";
import type { Deadline, OnProgress } from "#core/runtime.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import { finishValidation, SegmentResults, type ValidationReport } from "#core/validate/finish.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import {
  type BackupReader,
  type ManifestHistory,
  readManifestHistory,
} from "#core/validate/manifest-history.ts";
import { planValidation, type ValidationPlan } from "#core/validate/plan.ts";
import { validateSegment } from "#core/validate/segment.ts";

/**
 * Segments looked at at once. Shallow is two HEAD requests, bound by latency; deep is bound by the
 * processor and holds about 16 MiB for each.
 */
const concurrentSegments: Readonly<Record<ValidationLevel, number>> = { shallow: 32, deep: 4 };

export interface ValidateDeps extends BackupReader {
  readonly onProgress?: OnProgress;
}

export interface RunValidationRequest {
  readonly backup_id: string;
  readonly level: ValidationLevel;
}

/**
 * Validates a backup. Damage is in the report, not an error: throws BackupNotFoundError,
 * UnsupportedFormatVersionError, CancelledError when the deadline comes first, and what keeps it
 * from reading at all.
 */
export async function runValidation(
  deps: ValidateDeps,
  request: RunValidationRequest,
  deadline: Deadline,
): Promise<ValidationReport> {
  const { backup_id: backupId, level } = request;
  const history = await readManifestHistory(deps, backupId, deadline);
  if (history.manifestCount === 0 && history.findings.length === 0) {
    const message = `no committed backup has the id "${backupId}" in ${deps.storage.url}`;
    throw new BackupError("BackupNotFoundError", message);
  }
  tellPlanned(deps, history);
  const segments = new SegmentResults();
  const lanes = new Lanes(concurrentSegments[level]);
  const onItem = (item: ValidationItem) =>
    lanes.run(async () => {
      const result = await validateSegment(deps, item, deadline);
      if (result.status === "continue") throw outOfTime(backupId);
      segments.add(result);
      const { topic, partition, segment } = item;
      const { record_count: records, batch_bytes: bytes } = segment;
      deps.onProgress?.({ kind: "advanced", topic, partition, records, bytes });
    });
  const plan = await lanes.whileOpen(() =>
    planValidation(deps, request, history, onItem, deadline),
  );
  if (plan.status === "continue") throw outOfTime(backupId);
  const orphans = await orphansOf(deps, history, plan, deadline);
  return finishValidation({ level, history, plan, segments, orphans });
}

function tellPlanned({ onProgress }: ValidateDeps, { newest }: ManifestHistory): void {
  if (newest === undefined) return;
  const lineages = lineagesOf(newest.manifest);
  const records = lineages.reduce((sum, { state }) => sum + state.totals.record_count, 0);
  const partitions = new Set(lineages.map(({ topic, partition }) => `${topic}/${partition}`)).size;
  onProgress?.({ kind: "planned", partitions, records });
}

function outOfTime(backupId: string): BackupError {
  const message = `the validation of backup "${backupId}" was stopped before its end`;
  return new BackupError("CancelledError", message, { hint: "Run it again; it changes nothing." });
}

/** Undefined where documents are damaged: what they name would look like nobody's. */
async function orphansOf(
  deps: ValidateDeps,
  history: ManifestHistory,
  plan: ValidationPlan,
  deadline: Deadline,
): Promise<AsyncIterable<Orphan> | undefined> {
  const isKnown =
    plan.is_complete && !history.findings.some(({ severity }) => severity === "error");
  if (!isKnown) return undefined;
  const named = await readNamedKeys(deps, history, deadline);
  return findOrphans(deps.storage, history.backupId, named, deadline);
}

/** Runs up to `width` tasks at once; whoever brings one more waits. The first failure is kept. */
class Lanes {
  readonly #width: number;
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(width: number) {
    this.#width = width;
  }

  /** Resolves when the task has begun. Throws the failure of an earlier one. */
  async run(task: () => Promise<void>): Promise<void> {
    while (this.#underWay.size >= this.#width) await Promise.race(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure.error;
    const running = task()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#underWay.delete(running));
    this.#underWay.add(running);
  }

  /** Does what brings the tasks, and leaves none of them running. Throws the first failure. */
  async whileOpen<T>(bring: () => Promise<T>): Promise<T> {
    const brought = await bring().finally(() => Promise.all(this.#underWay));
    if (this.#failure !== undefined) throw this.#failure.error;
    return brought;
  }
}
