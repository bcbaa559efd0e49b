/** What one worker of a run tells the others when brokers or storage answer nothing any more. */
import { z } from "zod";
import { documentBytes, parseState, readIfPresent } from "#core/catalog/documents.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

const circuitDocument = z.object({ message: z.string() });

/**
 * Does a worker's turn, unless an earlier one of the run found that nothing answers: then it throws
 * that one's CircuitOpenError, and so do all turns after one that throws it. A turn that connects
 * to brokers does so within it, for they may be what is gone.
 */
export async function unlessCircuitOpen<Outcome>(
  storage: StorageBackend,
  key: string,
  turn: () => Promise<Outcome>,
): Promise<Outcome> {
  await throwIfCircuitOpen(storage, key);
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

/** Throws the CircuitOpenError that a worker of the run has left. */
export async function throwIfCircuitOpen(storage: StorageBackend, key: string): Promise<void> {
  const told = await readIfPresent(storage, key);
  if (told === undefined) return;
  throw new BackupError("CircuitOpenError", parseState(key, told, circuitDocument).message);
}

/**
 * Where a worker failed as a whole, after all its repetitions, because something did not answer:
 * tells the others, which would fare no better. Of such a worker nobody else does.
 */
export async function openCircuitIfGone(
  storage: StorageBackend,
  key: string,
  { error, message }: { readonly error: string; readonly message: string },
): Promise<void> {
  if (error === "CircuitOpenError") {
    await storage.put(key, documentBytes({ message }));
  } else if (error === "BrokerUnavailableError" || error === "StorageUnavailableError") {
    const told = `a worker was repeated in vain, at last it failed with ${error}: ${message}`;
    await storage.put(key, documentBytes({ message: told }));
  }
}
