/** What one worker of a run tells the others when brokers or storage answer nothing any more. */
import { z } from "zod";
import { documentBytes, parseState, readIfPresent } from "#core/catalog/documents.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

const circuitDocument = z.object({ message: z.string() });

/**
 * Does a worker's turn, unless an earlier one of the run found that nothing answers: then it throws
 * that one's CircuitOpenError, and so do all turns after one that throws it.
 */
export async function unlessCircuitOpen<Outcome>(
  storage: StorageBackend,
  key: string,
  turn: () => Promise<Outcome>,
): Promise<Outcome> {
  const told = await readIfPresent(storage, key);
  if (told !== undefined) {
    const { message } = parseState(key, told, circuitDocument);
    throw new BackupError("CircuitOpenError", message);
  }
  try {
    return await turn();
  } catch (error) {
    if (isBackupError(error, "CircuitOpenError")) {
      // Where it is the storage that is gone, each worker finds that out by itself.
      await storage.put(key, documentBytes({ message: error.message })).catch(() => {});
    }
    throw error;
  }
}
