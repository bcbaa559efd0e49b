/**
 * Azurite (MIT): Microsoft's emulator of Azure Blob Storage. From npm, into the project's cache and
 * not among its dependencies: it brings 380 packages.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDir, freePort, runToEnd, startProcess, withInstallLock } from "#local/processes.ts";

export const azuriteVersion = "3.35.0";

const readyTimeoutMs = 60_000;
/** The account that every Azurite has, and the key that Microsoft documents for it. */
const account = "devstoreaccount1";
const accountKey =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

export interface Azurite {
  /** With the account in its path. */
  readonly endpoint: string;
  readonly account: string;
  readonly accountKey: string;
  stop(): Promise<void>;
}

/** Starts an empty one on a free port. */
export async function startAzurite(): Promise<Azurite> {
  const program = await installAzurite();
  const folder = await mkdtemp(join(tmpdir(), "azurite-"));
  const port = await freePort();
  const service = `http://127.0.0.1:${port}`;
  const running = await startProcess({
    name: "azurite",
    command: process.execPath,
    args: [
      ...[program, "--blobHost", "127.0.0.1", "--blobPort", String(port), "--location", folder],
      // The client is newer than the emulator: what it sends is checked by what comes back.
      ...["--skipApiVersionCheck", "--silent", "--disableTelemetry"],
    ],
    cwd: folder,
    logFile: join(cacheDir(), "logs", `azurite-${port}.log`),
    ready: async () => (await fetch(service)).status > 0,
    readyTimeoutMs,
  });
  return {
    endpoint: `${service}/${account}`,
    account,
    accountKey,
    stop: async () => {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Installs what is missing (half a minute the first time) and returns the program's file. */
async function installAzurite(): Promise<string> {
  const home = join(cacheDir(), `azurite-${azuriteVersion}`);
  const program = join(home, "node_modules/azurite/dist/src/blob/main.js");
  if (existsSync(program)) return program;
  await withInstallLock(`azurite-${azuriteVersion}`, async () => {
    if (existsSync(program)) return;
    const partial = `${home}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    const own = { private: true, dependencies: { azurite: azuriteVersion } };
    await writeFile(join(partial, "package.json"), JSON.stringify(own));
    const quietly = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
    await runToEnd("npm", ["install", ...quietly, "--loglevel=error"], { cwd: partial });
    await rename(partial, home);
  });
  return program;
}
