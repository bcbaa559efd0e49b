/** The state of validations under way, and what is left of those that nobody finishes. */
import { parseState } from "#core/catalog/documents.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import {
  stateValidationsFolder,
  type ValidationOfBackup,
  validationStartKey,
  validationStateFolder,
} from "#core/storage/validation-keys.ts";
import { type ValidationStart, validationStart } from "#core/validate/steps/contract.ts";

export async function readStart(
  storage: StorageBackend,
  validation: ValidationOfBackup,
): Promise<ValidationStart> {
  const key = validationStartKey(validation);
  return parseState(key, await storage.get(key), validationStart);
}

/** Keys of one delete: the most that S3's DeleteObjects takes. */
const keysPerDelete = 1_000;

/** What vouches for the others, `start.json`, goes last, so that an interrupted removal is found. */
export async function removeState(
  storage: StorageBackend,
  validation: ValidationOfBackup,
): Promise<void> {
  const last = validationStartKey(validation);
  let keys: string[] = [];
  for await (const { key } of storage.list(validationStateFolder(validation))) {
    if (key === last) continue;
    keys.push(key);
    if (keys.length < keysPerDelete) continue;
    await storage.delete(keys);
    keys = [];
  }
  await storage.delete([...keys, last]);
}

/** The state machine ends after 7 days; no process of an older one is left. */
const abandonedAfterMs = 8 * 24 * 60 * 60 * 1000;

/**
 * Removes what failed and stopped validations of the same backup left behind. How old that is says
 * the store's own clock, by the object that `begun` has just written (C7).
 */
export async function removeAbandoned(
  storage: StorageBackend,
  begun: ValidationOfBackup,
): Promise<void> {
  const { backup_id } = begun;
  const now = await storage.head(validationStartKey(begun));
  if (now === undefined) return;
  for await (const validation_id of storage.listFolders(
    inBackup(backup_id, stateValidationsFolder),
  )) {
    const other = { backup_id, validation_id };
    const start = await storage.head(validationStartKey(other));
    const ageMs = start === undefined ? Infinity : now.lastModifiedMs - start.lastModifiedMs;
    if (ageMs > abandonedAfterMs) await removeState(storage, other);
  }
}
