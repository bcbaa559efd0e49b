/** Keys of three-phase restores: a restore, and what becomes of consumer groups with it. */
import { checkId, sequenceDigits } from "#core/storage/keys.ts";

export const threePhaseFolder = "three-phase/";

/** `three-phase/{id}/` */
export function threePhaseRunFolder(id: string): string {
  return `${threePhaseFolder}${checkId("three-phase restore id", id)}/`;
}

/** Names within a `threePhaseRunFolder`. */
export const threePhaseIntentName = "intent.json";
export const threePhaseSnapshotName = "snapshot.json";
export const threePhaseRestoredName = "restored.json";
export const threePhaseReportName = "report.json";
export const threePhaseAbandonedName = "abandoned.json";
export const threePhaseResetsName = "resets/";

/** `resets/00000001/`: one attempt to set the groups' offsets, within a `threePhaseRunFolder`. */
export function threePhaseResetName(attempt: number): string {
  return `${threePhaseResetsName}${sequenceDigits(attempt)}/`;
}

/** Names within a `threePhaseResetName`. */
export const resetSnapshotName = "snapshot.json";
export const resetPlanName = "plan.json";
export const resetRolledBackName = "rolled-back.json";
export const resetApprovalName = "approval.json";
