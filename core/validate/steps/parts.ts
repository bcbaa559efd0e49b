/**
 * What the turns of a step leave behind, one numbered object a turn. Each is written once: of two
 * processes at the same turn (one was given up too early, or called twice) the first to write
 * counts, and the other's work is dropped.
 */
import type { z } from "zod";
import { corrupt, documentBytes, parseState } from "#core/catalog/documents.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

/** A part holds some KiB; where all is damaged, 5 MB of findings. */
const aheadLimits = {
  bytesOf: ({ size }: { readonly size: number }) => size,
  bytesMax: 16 * 1024 * 1024,
  countMax: 16,
};

/** All parts below `folder`, in their order. Throws CorruptManifestError where one is missing. */
export async function readParts<T>(
  storage: StorageBackend,
  folder: string,
  keyOf: (turn: number) => string,
  shape: z.ZodType<T>,
): Promise<T[]> {
  const parts: T[] = [];
  const objects = storage.list(folder);
  for await (const { item, result } of readAhead(objects, aheadLimits, ({ key }) =>
    storage.get(key),
  )) {
    const expected = keyOf(parts.length);
    if (item.key !== expected) throw corrupt(item.key, `found where ${expected} should be`);
    parts.push(parseState(item.key, result, shape));
  }
  return parts;
}

/** False where another process was first: then what it wrote counts, and nothing of `part`. */
export async function writePart(
  storage: StorageBackend,
  key: string,
  part: object,
): Promise<boolean> {
  return (await storage.createIfAbsent(key, documentBytes(part))) === "created";
}
