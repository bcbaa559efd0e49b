/**
 * Keys of validations that several processes share. What they hand to one another lies below
 * `state/` and goes when the report is written; every object there is written once, so that two
 * processes at one piece of work cannot undo what the other did:
 *
 *     state/validations/{validation_id}/start.json
 *     state/validations/{validation_id}/plan/{turn, 8 digits}.json
 *     state/validations/{validation_id}/items.json
 *     state/validations/{validation_id}/items/{work item, 5 digits}-{attempt}.json
 *     state/validations/{validation_id}/results/{work item, 5 digits}/{turn, 8 digits}.json
 *     validations/{validation_id}.json
 */
import { checkId, inBackup, sequenceDigits } from "#core/storage/keys.ts";

export const validationReportsFolder = "validations/";
export const stateValidationsFolder = "state/validations/";

export interface ValidationOfBackup {
  readonly backup_id: string;
  readonly validation_id: string;
}

/** All keys of the functions here are relative to the storage's root. */
export function validationReportKey({ backup_id, validation_id }: ValidationOfBackup): string {
  const id = checkId("validation id", validation_id);
  return inBackup(backup_id, `${validationReportsFolder}${id}.json`);
}

export function validationStateFolder({ backup_id, validation_id }: ValidationOfBackup): string {
  const id = checkId("validation id", validation_id);
  return inBackup(backup_id, `${stateValidationsFolder}${id}/`);
}

/** What is validated, and what its manifests were found to be. */
export function validationStartKey(of: ValidationOfBackup): string {
  return `${validationStateFolder(of)}start.json`;
}

export function validationPlanFolder(of: ValidationOfBackup): string {
  return `${validationStateFolder(of)}plan/`;
}

export function validationPlanKey(of: ValidationOfBackup, turn: number): string {
  return `${validationPlanFolder(of)}${sequenceDigits(turn)}.json`;
}

/** A JSON array of work items, for the state machine's Map to read. */
export function validationItemsKey(of: ValidationOfBackup): string {
  return `${validationStateFolder(of)}items.json`;
}

/** The segments of one work item. */
export function validationItemKey(of: ValidationOfBackup, item: number, attempt: string): string {
  const name = `${itemDigits(item)}-${checkId("attempt", attempt)}`;
  return `${validationStateFolder(of)}items/${name}.json`;
}

export function validationResultsFolder(of: ValidationOfBackup, item: number): string {
  return `${validationStateFolder(of)}results/${itemDigits(item)}/`;
}

export function validationResultKey(of: ValidationOfBackup, item: number, turn: number): string {
  return `${validationResultsFolder(of, item)}${sequenceDigits(turn)}.json`;
}

function itemDigits(item: number): string {
  return item.toString().padStart(5, "0");
}
