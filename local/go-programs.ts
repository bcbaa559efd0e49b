/** Programs from the Go module proxy at fixed versions, built once and kept in the project's cache. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDir, runToEnd, withInstallLock } from "#local/processes.ts";

export interface GoProgram {
  /** Of the command and of its folder in the cache. */
  readonly name: string;
  /** The package of the command. */
  readonly path: string;
  readonly version: string;
}

/** Builds what is missing (a minute or three the first time) and returns the program's file. */
export async function installGoProgram({ name, path, version }: GoProgram): Promise<string> {
  const home = join(cacheDir(), `${name}-${version}`);
  const file = join(home, "bin", name);
  if (existsSync(file)) return file;
  await withInstallLock(`${name}-${version}`, async () => {
    if (existsSync(file)) return;
    const partial = join(home, "partial");
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await mkdir(join(home, "bin"), { recursive: true });
    try {
      await runToEnd("go", ["install", `${path}@v${version}`], { env: { GOBIN: partial } });
    } catch (error) {
      const problem = (error as Error).message;
      throw new Error(`Go is needed to build ${name} ${version}, and failed: ${problem}`);
    }
    await rename(join(partial, name), file);
    await rm(partial, { recursive: true, force: true });
  });
  return file;
}
