/** Versity S3 Gateway (Apache-2.0): an S3 over a folder, for the storage contract. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installGoProgram } from "#local/go-programs.ts";
import { cacheDir, freePort, startProcess } from "#local/processes.ts";

export const versitygwVersion = "1.8.0";

const readyTimeoutMs = 60_000;

export interface Versitygw {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

/** Starts an empty one on a free port. */
export async function startVersitygw(): Promise<Versitygw> {
  const program = await installGoProgram({
    name: "versitygw",
    path: "github.com/versity/versitygw/cmd/versitygw",
    version: versitygwVersion,
  });
  const folder = await mkdtemp(join(tmpdir(), "versitygw-"));
  const [data, versions] = [join(folder, "data"), join(folder, "versions")];
  await Promise.all([mkdir(data), mkdir(versions)]);
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const [accessKeyId, secretAccessKey] = ["local-access-key", "local-secret-key"];
  const running = await startProcess({
    name: "versitygw",
    command: program,
    args: [
      ...["--access", accessKeyId, "--secret", secretAccessKey, "--port", `127.0.0.1:${port}`],
      ...["--quiet", "posix", "--versioning-dir", versions, data],
    ],
    logFile: join(cacheDir(), "logs", `versitygw-${port}.log`),
    ready: async () => (await fetch(endpoint)).status > 0,
    readyTimeoutMs,
  });
  return {
    endpoint,
    region: "us-east-1",
    accessKeyId,
    secretAccessKey,
    stop: async () => {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
