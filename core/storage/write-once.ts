import { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

/**
 * Creates an object whose key stands for one content for ever (C2, C4): done again with the same
 * bytes it succeeds and changes nothing; with other bytes it throws BackupConflictError.
 */
export async function writeOnce(
  storage: StorageBackend,
  key: string,
  body: Uint8Array,
): Promise<void> {
  if ((await storage.createIfAbsent(key, body)) === "created") return;
  const stored = await storage.get(key);
  if (stored.equals(body)) return;
  throw new BackupError(
    "BackupConflictError",
    `${storage.url}: ${key} exists with other content (${stored.length} bytes, not ${body.length})`,
  );
}
