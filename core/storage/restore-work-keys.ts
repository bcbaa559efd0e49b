/**
 * What the processes of a distributed restore hand to one another. Each run at a restore has a
 * folder of its own, so that what an earlier one left is never taken for this one's; they stay
 * with the restore's other documents, and say afterwards what failed:
 *
 *     restores/{restore_id}/work/{attempt}/items.json
 *     restores/{restore_id}/work/{attempt}/failed/{work item, 5 digits}.json
 *     restores/{restore_id}/work/{attempt}/circuit-open.json
 */
import { checkId, inBackup, restoreFolder } from "#core/storage/keys.ts";

export interface WorkOfRestore {
  readonly backup_id: string;
  readonly restore_id: string;
  readonly attempt: string;
}

/** All keys here are relative to the storage's root. */
function workFolder({ backup_id, restore_id, attempt }: WorkOfRestore): string {
  return inBackup(backup_id, `${restoreFolder(restore_id)}work/${checkId("attempt", attempt)}/`);
}

/** A JSON array of work items, for the state machine's Map to read. */
export function restoreItemsKey(run: WorkOfRestore): string {
  return `${workFolder(run)}items.json`;
}

export function failedRestoreItemsFolder(run: WorkOfRestore): string {
  return `${workFolder(run)}failed/`;
}

/** The partitions of one work item that failed. */
export function failedRestoreItemKey(run: WorkOfRestore, item: number): string {
  return `${failedRestoreItemsFolder(run)}${item.toString().padStart(5, "0")}.json`;
}

/** Where it is, a worker found that brokers or storage answer nothing: nobody need try again. */
export function circuitOpenRestoreKey(run: WorkOfRestore): string {
  return `${workFolder(run)}circuit-open.json`;
}
