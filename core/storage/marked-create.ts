/**
 * Creates whose answer may have been lost, by this process or on the way (C4). A stream's object
 * bears a mark of the stream's own in its metadata, which tells it from another's.
 */
import { BackupError } from "#core/errors.ts";
import type { CreateOutcome } from "#core/storage/backend.ts";
import type { Retry } from "#core/storage/retrying.ts";

export interface MarkedCreate {
  readonly mark: string;
  create(): Promise<CreateOutcome>;
  /** Undefined where there is no object. */
  find(): Promise<{ readonly mark: string | undefined } | undefined>;
  /** What to say of a create that came to nothing: an upload that is gone, with its key. */
  readonly gone: string;
}

/**
 * An upload that is gone was either completed, or discarded by somebody else: then its parts cannot
 * be had again, and this throws StorageUnavailableError.
 */
export async function createMarked(
  { mark, create, find, gone }: MarkedCreate,
  retry: Retry,
): Promise<CreateOutcome> {
  const outcome = await retry(create);
  if (outcome === "created") return outcome;
  const found = await retry(find);
  if (found !== undefined) return found.mark === mark ? "created" : "exists";
  throw new BackupError("StorageUnavailableError", gone, {
    hint: "Run the command again: it continues after the last checkpoint.",
  });
}
