/** fake-gcs-server (BSD-2-Clause): Google Cloud Storage's JSON API in memory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installGoProgram } from "#local/go-programs.ts";
import { cacheDir, freePort, startProcess } from "#local/processes.ts";

export const fakeGcsServerVersion = "1.56.1";

const readyTimeoutMs = 60_000;

export interface FakeGcsServer {
  readonly endpoint: string;
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an empty one on a free port. */
export async function startFakeGcsServer(): Promise<FakeGcsServer> {
  const program = await installGoProgram({
    name: "fake-gcs-server",
    path: "github.com/fsouza/fake-gcs-server",
    version: fakeGcsServerVersion,
  });
  const folder = await mkdtemp(join(tmpdir(), "fake-gcs-server-"));
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const running = await startProcess({
    name: "fake-gcs-server",
    command: program,
    args: [
      ...["-host", "127.0.0.1", "-port", String(port), "-scheme", "http", "-backend", "memory"],
      ...["-external-url", endpoint, "-public-host", `127.0.0.1:${port}`, "-log-level", "warn"],
    ],
    cwd: folder,
    logFile: join(cacheDir(), "logs", `fake-gcs-server-${port}.log`),
    ready: async () => (await fetch(`${endpoint}/_internal/healthcheck`)).ok,
    readyTimeoutMs,
  });
  return {
    endpoint,
    async createBucket(name) {
      const answer = await fetch(`${endpoint}/storage/v1/b?project=local`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name }),
      });
      if (!answer.ok) throw new Error(`bucket ${name}: HTTP ${answer.status}`);
    },
    stop: async () => {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
