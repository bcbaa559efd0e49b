/**
 * What the processes of a distributed run hand to one another, below the run's state folder, with
 * which it is removed. Each plan of a run has a folder of its own, so that what is left of an
 * earlier attempt is never taken for this one's:
 *
 *     state/runs/{state_id}/work/{run_id}/items.json
 *     state/runs/{state_id}/work/{run_id}/planned.json
 *     state/runs/{state_id}/work/{run_id}/failed/{work item, 5 digits}.json
 *     state/runs/{state_id}/work/{run_id}/circuit-open.json
 */
import { inBackup, runFolder, stateRunFolder } from "#core/storage/keys.ts";

export interface WorkOfRun {
  readonly backup_id: string;
  readonly run_id: string;
  readonly state_id: string;
}

/** All keys here are relative to the storage's root. */
function workFolder({ backup_id, run_id, state_id }: WorkOfRun): string {
  const plan = runFolder(run_id).slice("runs/".length);
  return inBackup(backup_id, `${stateRunFolder(state_id)}work/${plan}`);
}

/** A JSON array of work items, for the state machine's Map to read. */
export function workItemsKey(run: WorkOfRun): string {
  return `${workFolder(run)}items.json`;
}

/** What the plan found that no worker can know. */
export function plannedKey(run: WorkOfRun): string {
  return `${workFolder(run)}planned.json`;
}

export function failedItemsFolder(run: WorkOfRun): string {
  return `${workFolder(run)}failed/`;
}

/** The partitions of one work item that failed. */
export function failedItemKey(run: WorkOfRun, item: number): string {
  return `${failedItemsFolder(run)}${item.toString().padStart(5, "0")}.json`;
}

/** Where it is, a worker found that brokers or storage answer nothing: nobody need try again. */
export function circuitOpenKey(run: WorkOfRun): string {
  return `${workFolder(run)}circuit-open.json`;
}
