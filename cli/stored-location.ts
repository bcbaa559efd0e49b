/** Storage that a command only makes sense of where it is there already. */
import { stat } from "node:fs/promises";
import { openStorageAt } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { parseLocation } from "#core/storage/location.ts";

/**
 * Opens what `--path` names, for commands that read. A folder that does not exist is a mistyped
 * one: "there are no backups" would be the wrong answer. Throws ObjectNotFoundError for it; a
 * bucket that does not exist says so by itself.
 */
export async function openStoredAt(session: Session, path: string): Promise<StorageBackend> {
  const location = parseLocation(path);
  const storage = await openStorageAt(session, location);
  if (location.backend === "filesystem" && !(await exists(location.path))) {
    throw new BackupError("ObjectNotFoundError", `there is no folder ${storage.url}`, {
      hint: "Correct --path; the first backup into a folder makes it.",
    });
  }
  return storage;
}

/** What may not be looked at is left to the storage, which says why. */
async function exists(folder: string): Promise<boolean> {
  try {
    await stat(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}
