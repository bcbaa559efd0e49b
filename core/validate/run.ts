/**
 * A whole validation in one process, for the command line: manifests, plan, segments, orphans,
 * report. The state machine does the same steps in the same order.
 */
import { lineagesOf } from "#core/catalog/totals.ts";
import { BackupError } from "#core/errors.ts";
import type { Deadline, OnProgress } from "#core/runtime.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import { finishValidation, SegmentResults, type ValidationReport } from "#core/validate/finish.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import { Lanes } from "#core/validate/lanes.ts";
import {
  type BackupReader,
  checkedManifests,
  type ManifestHistory,
  readHistoryOfBackup,
} from "#core/validate/manifest-history.ts";
import { orphansOf } from "#core/validate/orphans.ts";
import { planValidation } from "#core/validate/plan.ts";
import { concurrentSegments, validateSegment } from "#core/validate/segment.ts";

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
  const history = await readHistoryOfBackup(deps, backupId, deadline);
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
  const manifests = checkedManifests(history);
  const orphans = await orphansOf(deps, { backupId, manifests, plan }, deadline);
  return finishValidation({ backup_id: backupId, level, manifests, plan, segments, orphans });
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
