/**
 * Files and folders as the filesystem backend wants them: whole, durable, absent instead of an
 * error, and with the operating system's errors in the words of this software.
 */
import type { Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, join } from "node:path";
import { BackupError } from "#core/errors.ts";
import type { CreateOutcome, ObjectInfo } from "#core/storage/backend.ts";

/** Writes `chunks` one after the other, from `position` on. */
export async function writeFully(
  file: Pick<fs.FileHandle, "writev">,
  chunks: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = chunks;
  for (let at = position; left.length > 0; ) {
    const { bytesWritten } = await file.writev(left, at);
    at += bytesWritten;
    left = without(left, bytesWritten);
  }
}

/** What remains of `chunks` after their first `bytes`. */
function without(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = bytes;
  let first = 0;
  while (first < chunks.length && skipped >= chunks[first]!.length) {
    skipped -= chunks[first]!.length;
    first += 1;
  }
  if (first === chunks.length) return [];
  return [chunks[first]!.subarray(skipped), ...chunks.slice(first + 1)];
}

export async function readFully(
  file: fs.FileHandle,
  into: Buffer,
  position: number,
): Promise<Buffer> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return into.subarray(0, done);
}

/** Undefined where there is nothing. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await fs.stat(path);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/** Undefined where there is no file. */
export async function infoOf(path: string): Promise<ObjectInfo | undefined> {
  const stats = await statOf(path);
  if (!stats?.isFile()) return undefined;
  return { size: stats.size, lastModifiedMs: Math.floor(stats.mtimeMs) };
}

/** The name is taken; a folder in its place is not the object. */
export async function existsAsFile(path: string): Promise<CreateOutcome> {
  if ((await statOf(path))?.isDirectory()) {
    throw Object.assign(new Error("a folder has that name"), { code: "EISDIR" });
  }
  return "exists";
}

/** Returns false when there was none. */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await fs.unlink(path);
    return true;
  } catch (error) {
    if (isAbsence(error) || (await statOf(path))?.isDirectory()) return false;
    throw error;
  }
}

/** Returns false when it is there already: of many at once, one gets true. */
export async function makeFolder(folder: string): Promise<boolean> {
  try {
    await fs.mkdir(folder);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Makes a folder and those above it, each name durable in the folder that holds it. */
export async function makeFolderDurable(folder: string): Promise<void> {
  const topmostNew = await fs.mkdir(folder, { recursive: true });
  if (topmostNew === undefined) return;
  for (let made = folder; made.length >= topmostNew.length; made = dirname(made)) {
    await syncFolder(dirname(made));
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Network and user-space file systems that have no such call.
    if (!unsupportedCodes.has(codeOf(error))) throw error;
  } finally {
    await handle.close();
  }
}

/**
 * Removes what is older than `ageMs` in a folder. `nowMs` is the time of a file that was just made
 * there: the file system's own clock.
 */
export async function removeOlder(folder: string, ageMs: number, nowMs: number): Promise<void> {
  for (const name of await fs.readdir(folder)) {
    const path = join(folder, name);
    const modifiedMs = (await statOf(path))?.mtimeMs ?? nowMs;
    if (nowMs - modifiedMs > ageMs) await fs.rm(path, { recursive: true, force: true });
  }
}

const unsupportedCodes = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);
export const noHardLinkCodes = new Set([...unsupportedCodes, "EPERM", "EMLINK"]);
export const notEmptyCodes = new Set(["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"]);
const deniedCodes = new Set(["EACCES", "EPERM", "EROFS"]);
const fullCodes = new Set(["ENOSPC", "EDQUOT"]);
const absenceCodes = new Set(["ENOENT", "ENOTDIR"]);
/** The key cannot be a file here, whoever asks: a folder is in its way, or its name is too long. */
const impossibleCodes = new Set(["EISDIR", "ENOTDIR", "EEXIST", "ENOTEMPTY", "ENAMETOOLONG"]);

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}

export function isAbsence(error: unknown): boolean {
  return absenceCodes.has(codeOf(error));
}

/** The error in our words, or as it is when it is none of the operating system's. */
export function translateFileError(
  error: unknown,
  verb: string,
  url: string,
  key: string,
): unknown {
  const code = codeOf(error);
  if (error instanceof BackupError || code === "") return error;
  const message = `${url}: cannot ${verb} ${key === "" ? "the folder" : key}: ${code}`;
  const isRead = verb === "read";
  if (isRead && (isAbsence(error) || code === "EISDIR")) {
    return new BackupError("ObjectNotFoundError", `${url}: there is no object ${key}`, {
      cause: error,
    });
  }
  if (deniedCodes.has(code)) return new BackupError("AccessDeniedError", message, { cause: error });
  if (impossibleCodes.has(code)) {
    return new BackupError("InvalidRequestError", message, { cause: error });
  }
  const hint = fullCodes.has(code) ? "Free space on that disk; the run can be resumed." : undefined;
  return new BackupError("StorageUnavailableError", message, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
