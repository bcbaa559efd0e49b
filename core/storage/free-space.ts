/** How much a file system still takes. */
import { statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { codeOf, translateFileError } from "#core/storage/durable-files.ts";

export interface FreeSpace {
  /** What a process without special rights may still write. */
  readonly freeBytes: bigint;
  readonly totalBytes: bigint;
}

/** Of the file system that holds the folder, or will hold it once it is made. */
export async function freeSpaceAt(folder: string): Promise<FreeSpace> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    try {
      const { bsize, bavail, blocks } = await statfs(path, { bigint: true });
      return { freeBytes: bsize * bavail, totalBytes: bsize * blocks };
    } catch (error) {
      if (codeOf(error) === "ENOENT" && path !== dirname(path)) continue;
      throw translateFileError(error, "look at", path, "");
    }
  }
}
