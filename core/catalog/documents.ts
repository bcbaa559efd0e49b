/**
 * Documents as bytes: how each is written, and what is asked of one before it is believed. A
 * backup's bucket may hold anything, so every name and key in a document is checked (S2).
 */
import { createHash } from "node:crypto";
import type { z } from "zod";
import { formatVersion, type ObjectReference } from "#core/catalog/manifest.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import { toPrettyJson } from "#core/json.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { checkRelativeKey, inBackup } from "#core/storage/keys.ts";

/**
 * Bytes of one document. A segment takes about 750 bytes of its run list, so this is one run that
 * adds 350,000 segments, 44 TB at 128 MiB each, to one topic; V8's longest string is 512 MiB.
 */
export const documentBytesMax = 256 * 1024 * 1024;

export function sha256Of(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("hex");
}

/** The bytes of a document; the same value always gives the same ones. */
export function documentBytes(document: unknown): Buffer {
  return Buffer.from(toPrettyJson(document));
}

/** How another document vouches for `body` under `key`. */
export function referenceTo(key: string, body: Uint8Array): ObjectReference {
  return { key, sha256: sha256Of(body), bytes: body.length };
}

/** CorruptManifestError that names the object and the field. */
export function corrupt(key: string, problem: string, cause?: unknown): BackupError {
  return new BackupError("CorruptManifestError", `${key}: ${problem}`, { cause, details: { key } });
}

/**
 * A document with a `format_version`. Throws UnsupportedFormatVersionError when that is newer than
 * this software, before anything else is looked at; CorruptManifestError naming the field.
 */
export function parseDocument<T>(key: string, body: Uint8Array, schema: z.ZodType<T>): T {
  const value = parseJson(key, body);
  checkFormatVersion(key, value);
  return checkShape(key, value, schema);
}

/** State of what is under way: it never outlives an update, and has no version. */
export function parseState<T>(key: string, body: Uint8Array, schema: z.ZodType<T>): T {
  return checkShape(key, parseJson(key, body), schema);
}

function parseJson(key: string, body: Uint8Array): unknown {
  if (body.length > documentBytesMax) {
    throw corrupt(key, `${body.length} bytes, more than a document's ${documentBytesMax}`);
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw corrupt(key, `not a JSON document: ${(error as Error).message}`, error);
  }
}

function checkFormatVersion(key: string, value: unknown): void {
  const { format_version: version, created_by: writer } = (value ?? {}) as Record<string, unknown>;
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    throw corrupt(key, "format_version: must be a whole number from 1");
  }
  if ((version as number) <= formatVersion) return;
  const by =
    typeof writer === "string" ? `, written by ${JSON.stringify(writer.slice(0, 100))}` : "";
  throw new BackupError(
    "UnsupportedFormatVersionError",
    `${key}: format version ${version}${by}; this software reads up to ${formatVersion}`,
    { details: { key, format_version: version as number } },
  );
}

function checkShape<T>(key: string, value: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw corrupt(key, `${issue.path.join(".") || "document"}: ${issue.message}`, parsed.error);
}

/** Throws CorruptManifestError unless the document says of itself what its key says of it. */
export function checkSame<T extends string | number>(
  key: string,
  field: string,
  found: T,
  expected: T,
): void {
  if (found === expected) return;
  throw corrupt(
    key,
    `${field}: is ${JSON.stringify(found)}, but its place says ${JSON.stringify(expected)}`,
  );
}

/** What `build` gives; its InvalidRequestError (a name that no key may hold) as a corruption. */
export function checkedName<T>(key: string, field: string, build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (!isBackupError(error, "InvalidRequestError", "CorruptManifestError")) throw error;
    throw corrupt(key, `${field}: ${error.message}`, error);
  }
}

/** Throws CorruptManifestError unless a key found in a document lies below `folder`. */
export function checkKeyBelow(key: string, field: string, found: string, folder: string): void {
  checkedName(key, field, () => checkRelativeKey(found));
  if (found.startsWith(folder)) return;
  throw corrupt(key, `${field}: ${JSON.stringify(found)} does not lie below ${folder}`);
}

/**
 * The bytes that a reference vouches for. Never reads more than the reference says. Throws
 * CorruptManifestError when they are missing, or of another size or SHA-256 (I2).
 */
export async function readReferenced(
  storage: StorageBackend,
  backupId: string,
  reference: ObjectReference,
): Promise<Buffer> {
  const key = inBackup(backupId, checkRelativeKey(reference.key));
  if (reference.bytes > documentBytesMax) {
    throw corrupt(key, `referred to as ${reference.bytes} bytes, more than ${documentBytesMax}`);
  }
  const body = await readRange(storage, key, reference.bytes + 1);
  if (body.length !== reference.bytes) {
    const size = body.length > reference.bytes ? "more" : body.length;
    throw corrupt(key, `should have ${reference.bytes} bytes, has ${size}`);
  }
  const sha256 = sha256Of(body);
  if (sha256 !== reference.sha256) {
    throw corrupt(key, `SHA-256 should be ${reference.sha256}, is ${sha256}`);
  }
  return body;
}

async function readRange(storage: StorageBackend, key: string, length: number): Promise<Buffer> {
  try {
    return await storage.getRange(key, 0, length);
  } catch (error) {
    if (!isBackupError(error, "ObjectNotFoundError")) throw error;
    throw corrupt(key, "is missing, though another document names it", error);
  }
}

/** The object's bytes, or undefined when there is none. */
export async function readIfPresent(
  storage: StorageBackend,
  key: string,
): Promise<Buffer | undefined> {
  try {
    return await storage.get(key);
  } catch (error) {
    if (isBackupError(error, "ObjectNotFoundError")) return undefined;
    throw error;
  }
}
