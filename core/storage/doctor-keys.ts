/**
 * Where `doctor` tries the storage: beside the state of runs and leases, as these are what a role
 * that may delete little may delete.
 */
import { checkId } from "#core/storage/keys.ts";

/** `state/doctor/{id}/` */
export function doctorFolder(id: string): string {
  return `state/doctor/${checkId("doctor id", id)}/`;
}
