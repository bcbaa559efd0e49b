import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { freePort, startProcess, withInstallLock } from "#local/processes.ts";

const folder = await mkdtemp(join(tmpdir(), "kafka-backup-processes-"));
afterAll(() => rm(folder, { recursive: true }));

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function waitFor(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await sleep(50);
  expect(condition()).toBe(true);
}

const shell = (name: string, script: string) => ({
  name,
  command: "sh",
  args: ["-c", script],
  logFile: join(folder, `${name}.log`),
  readyTimeoutMs: 5_000,
});

describe("a process", () => {
  test("is ready when it says so, and ends with all that it started", async () => {
    const file = join(folder, "child.pid");
    const running = await startProcess({
      ...shell("family", `sleep 1000 & echo $! > ${file}; wait`),
      ready: async () => (await readFile(file, "utf8")).endsWith("\n"),
    });
    const child = Number(await readFile(file, "utf8"));
    expect(isRunning(child)).toBe(true);
    await running.stop();
    await running.stop();
    expect(await running.exited).toMatchObject({ signal: "SIGTERM" });
    await waitFor(() => !isRunning(child));
  });

  test("that ends while starting is reported with its last words", async () => {
    const start = startProcess({
      ...shell("short", "echo the last words; exit 3"),
      ready: async () => false,
    });
    await expect(start).rejects.toThrow(/exit code 3.*the last words/s);
  });

  test("that is never ready is stopped and reported", async () => {
    const pidIn = async () => Number(await readFile(join(folder, "slow.log"), "utf8"));
    const start = startProcess({
      ...shell("slow", "echo $$; sleep 1000"),
      ready: async () => {
        while ((await pidIn()) === 0) await sleep(10);
        return false;
      },
      readyTimeoutMs: 300,
    });
    await expect(start).rejects.toThrow("was not ready");
    const pid = await pidIn();
    expect(isRunning(pid)).toBe(false);
  });

  test("that does not exist is named", async () => {
    const start = startProcess({
      ...shell("absent", ""),
      command: "/no/such/command",
      ready: async () => true,
    });
    await expect(start).rejects.toThrow("cannot start absent: /no/such/command: ENOENT");
  });

  test.each(["SIGTERM", "SIGKILL"] as const)("ends when its parent gets %s", async (signal) => {
    const script = join(folder, `parent-${signal}.ts`);
    const processes = new URL("../../local/processes.ts", import.meta.url).href;
    const options = shell(`orphan-${signal}`, "sleep 1000");
    await writeFile(
      script,
      `import { startProcess } from ${JSON.stringify(processes)};
       const options = ${JSON.stringify(options)};
       const running = await startProcess({ ...options, ready: async () => true });
       console.log(running.pid);
       setInterval(() => {}, 1000);`,
    );
    const parent = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(line.toString());
    expect(isRunning(pid)).toBe(true);
    parent.kill(signal);
    await once(parent, "exit");
    await waitFor(() => !isRunning(pid));
  });
});

test("free ports can be listened on and are not given twice", async () => {
  const ports = await Promise.all(Array.from({ length: 10 }, freePort));
  expect(new Set(ports).size).toBe(10);
  const server = createServer().listen(ports[0], "127.0.0.1");
  await once(server, "listening");
  server.close();
});

describe("an install lock", () => {
  test("lets one in at a time", async () => {
    let inside = 0;
    const turns = Array.from({ length: 5 }, () =>
      withInstallLock(`test-${process.pid}`, async () => {
        expect(++inside).toBe(1);
        await sleep(5);
        inside--;
      }),
    );
    await Promise.all(turns);
  });

  test("of a process that died is taken over", async () => {
    const name = `test-dead-${process.pid}`;
    const dead = spawn("true");
    await once(dead, "exit");
    await withInstallLock(name, async () => {
      const { cacheDir } = await import("#local/processes.ts");
      await writeFile(join(cacheDir(), "locks", `${name}.lock`), `${dead.pid} 00`);
      expect(await withInstallLock(name, async () => "in")).toBe("in");
    });
  });
});
