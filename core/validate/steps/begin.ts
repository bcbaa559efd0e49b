/** The first step: reads the manifests, fixes what is validated, and makes the first turn's plan. */
import { documentBytes } from "#core/catalog/documents.ts";
import { newRunId } from "#core/run-id.ts";
import type { Deadline } from "#core/runtime.ts";
import { checkBackupId } from "#core/storage/keys.ts";
import { validationStartKey } from "#core/storage/validation-keys.ts";
import { checkedManifests, readHistoryOfBackup } from "#core/validate/manifest-history.ts";
import type { RunValidationRequest } from "#core/validate/run.ts";
import type {
  PlanTurn,
  Validation,
  ValidationDeps,
  ValidationStart,
} from "#core/validate/steps/contract.ts";
import { itemCostOf } from "#core/validate/steps/pack.ts";
import { planFirstTurn } from "#core/validate/steps/plan-turn.ts";
import { removeAbandoned } from "#core/validate/steps/state.ts";

export interface BegunValidation extends PlanTurn {
  readonly validation: Validation;
}

export interface BeginValidationRequest extends RunValidationRequest {
  /** How many processes may look at segments at a time. */
  readonly workers: number;
}

/**
 * Begins a validation. The first turn of planning is over `turnMs` after it began. Writes nothing for a backup that does not
 * exist: BackupNotFoundError. Else throws what `readManifestHistory` and the storage throw.
 */
export async function beginValidation(
  deps: ValidationDeps,
  request: BeginValidationRequest,
  turnMs: number,
  deadline: Deadline,
): Promise<BegunValidation> {
  const { backup_id, level, workers } = request;
  checkBackupId(backup_id);
  const startedMs = deps.clock.nowMs();
  const history = await readHistoryOfBackup(deps, backup_id, deadline);
  const { manifest_count, generation, findings } = checkedManifests(history);
  const validation_id = newRunId(startedMs, deps.newId());
  const validation: Validation = { backup_id, validation_id, level, generation };
  const start: ValidationStart = {
    started_at: BigInt(startedMs),
    ...(history.newest !== undefined && { sha256: history.newest.sha256 }),
    item_cost: itemCostOf(history.newest?.manifest, level, workers),
    manifest_count,
    findings: [...findings],
  };
  await deps.storage.put(validationStartKey(validation), documentBytes(start));
  await removeAbandoned(deps.storage, validation);
  const planned = await planFirstTurn(deps, { validation, start, history }, turnMs, deadline);
  return { validation, ...planned };
}
