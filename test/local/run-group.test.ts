/** Commands that run in a group of their own, on ports that are wanted. */
import { openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { freePort, runGroup, wantedPort } from "#local/processes.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-groups-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const never = new AbortController().signal;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const pidIn = async (file: string) => {
  const text = await readFile(file, "utf8");
  expect(text).toMatch(/^\d+\n$/);
  return Number(text);
};

test("a command's exit code, variables and output are its own", async () => {
  const file = join(folder, "output");
  const output = openSync(file, "w");
  const env = { GREETING: "good morning" };
  const exit = await runGroup("sh", ["-c", 'echo "$GREETING"; exit 7'], {
    ...{ env, signal: never, output },
  });
  expect(exit).toEqual({ code: 7, signal: null });
  expect(await readFile(file, "utf8")).toBe("good morning\n");
});

test("what a command leaves in the background ends with it", async () => {
  const file = join(folder, "background.pid");
  await runGroup("sh", ["-c", `sleep 1000 & echo $! > ${file}`], { env: {}, signal: never });
  const pid = await pidIn(file);
  await vi.waitFor(() => expect(isRunning(pid)).toBe(false), { timeout: 10_000 });
});

test("a command that is stopped half-way ends with all that it started", async () => {
  const file = join(folder, "child.pid");
  const stop = new AbortController();
  const running = runGroup("sh", ["-c", `sleep 1000 & echo $! > ${file}; wait`], {
    ...{ env: {}, signal: stop.signal },
  });
  const pid = await vi.waitFor(() => pidIn(file), { timeout: 10_000 });
  expect(isRunning(pid)).toBe(true);
  stop.abort();
  expect((await running).signal).toBe("SIGTERM");
  await vi.waitFor(() => expect(isRunning(pid)).toBe(false), { timeout: 10_000 });
});

test("a command that is not there is named", async () => {
  const running = runGroup("no-such-command", [], { env: {}, signal: never });
  await expect(running).rejects.toThrow("cannot start no-such-command: ENOENT");
});

test("a port that is wanted is given, and refused by name where something listens on it", async () => {
  const port = await freePort();
  expect(await wantedPort(port)).toBe(port);
  const server = createServer().listen({ port, host: "127.0.0.1" });
  await new Promise((resolve) => server.once("listening", resolve));
  await expect(wantedPort(port)).rejects.toThrow(`port ${port} on 127.0.0.1 is taken`);
  await new Promise((resolve) => server.close(resolve));
});
