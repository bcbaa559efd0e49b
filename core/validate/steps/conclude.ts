/** The last step: one report out of what the others left, stored in the bucket. */
import { corrupt, documentBytes, parseDocument, readIfPresent } from "#core/catalog/documents.ts";
import { formatVersion } from "#core/catalog/manifest.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import type { Deadline } from "#core/runtime.ts";
import { validationReportKey, validationResultsFolder } from "#core/storage/validation-keys.ts";
import { FindingLog } from "#core/validate/finding-log.ts";
import { finishValidation, SegmentResults } from "#core/validate/finish.ts";
import { orphansOf } from "#core/validate/orphans.ts";
import type {
  PlanPart,
  SegmentsOfItem,
  SegmentsPart,
  Validation,
  ValidationDeps,
} from "#core/validate/steps/contract.ts";
import { planParts } from "#core/validate/steps/plan-turn.ts";
import {
  resultOf,
  type StoredReport,
  storedReport,
  type ValidationResult,
} from "#core/validate/steps/report.ts";
import { readStart, removeState } from "#core/validate/steps/state.ts";
import { itemParts, pendingOf } from "#core/validate/steps/work-item.ts";
import { excerpt } from "#core/work-items/excerpt.ts";

type ConcludeDeps = Omit<ValidationDeps, "newId">;

/**
 * Writes the report and removes the validation's state. Idempotent: done again, also after its
 * answer was lost and the state is gone, it gives the report that was written.
 */
export async function concludeValidation(
  deps: ConcludeDeps,
  validation: Validation,
  deadline: Deadline,
): Promise<ValidationResult> {
  const { storage } = deps;
  const key = validationReportKey(validation);
  const stored = await readIfPresent(storage, key);
  if (stored === undefined) {
    const report = await reportOf(deps, validation, deadline);
    await storage.createIfAbsent(key, documentBytes(report));
  }
  await removeState(storage, validation);
  const report = parseDocument(key, stored ?? (await storage.get(key)), storedReport);
  return resultOf(report, `${storage.url.replace(/\/$/, "")}/${key}`);
}

async function reportOf(
  deps: ConcludeDeps,
  validation: Validation,
  deadline: Deadline,
): Promise<StoredReport> {
  const { backup_id, level } = validation;
  const { started_at, ...manifests } = await startOf(deps, validation);
  const plan = joined(await planParts(deps, validation));
  const { segments, unchecked } = await resultsOf(deps, validation, plan.items);
  const documents = { backupId: backup_id, manifests, plan };
  const orphans = await orphansOf(deps, documents, deadline);
  const { status, findings, ...report } = await finishValidation({
    ...{ backup_id, level, manifests, plan, segments, orphans },
  });
  return {
    format_version: formatVersion,
    validation_id: validation.validation_id,
    status: status === "sound" && unchecked.count > 0 ? "incomplete" : status,
    ...report,
    unchecked,
    started_at,
    finished_at: BigInt(deps.clock.nowMs()),
    findings: [...findings],
  };
}

async function startOf({ storage }: ConcludeDeps, validation: Validation) {
  const { started_at, manifest_count, findings } = await readStart(storage, validation);
  return { started_at, manifest_count, findings, generation: validation.generation };
}

/** What the turns of planning came to together. */
function joined(parts: readonly PlanPart[]) {
  const log = new FindingLog();
  for (const part of parts) log.addLogged(part);
  return {
    items: parts.flatMap(({ items }) => items),
    run_count: parts.reduce((sum, { run_count }) => sum + run_count, 0),
    segment_count: parts.reduce((sum, { segment_count }) => sum + segment_count, 0),
    is_complete: parts.every(({ is_complete }) => is_complete),
    ...log.result(),
  };
}

/** Work items whose results are read ahead: a list and a few small objects each. */
const aheadLimits = { bytesOf: () => 0, bytesMax: 0, countMax: 32 };

/** Throws CorruptManifestError where an item was not done: then somebody removed its results. */
async function resultsOf(
  { storage }: ConcludeDeps,
  validation: Validation,
  items: readonly SegmentsOfItem[],
) {
  const segments = new SegmentResults();
  const unchecked: SegmentsPart["unchecked"][] = [];
  const read = (item: SegmentsOfItem) => itemParts(storage, { validation, item });
  for await (const { item, result: parts } of readAhead(items, aheadLimits, read)) {
    const left = pendingOf({ validation, item }, parts).length;
    if (left > 0) {
      const folder = validationResultsFolder(validation, item.number);
      throw corrupt(folder, `of ${item.segments} segments ${left} have no result`);
    }
    for (const part of parts) {
      segments.add(part);
      unchecked.push(part.unchecked);
    }
  }
  const count = unchecked.reduce((sum, { count }) => sum + count, 0);
  return { segments, unchecked: { ...excerpt(unchecked.flatMap(({ first }) => first)), count } };
}
