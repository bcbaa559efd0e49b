/** The demo as a user runs it, with a Kafka of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const timeoutMs = 300_000;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-demo-test-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the demo with `folder` for its files; `onOutput` sees all that was printed so far. */
async function runDemo(onOutput: (output: string, demo: ChildProcess) => void = () => {}) {
  const demo = spawn(process.execPath, ["demos/point-in-time/demo.ts"], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [demo.stdout, demo.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      onOutput(output, demo);
    });
  }
  const code = await new Promise<number | null>((resolve) => demo.once("close", resolve));
  return { code, output };
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

test("the demo proves what it claims, and leaves nothing behind (R9)", {
  timeout: timeoutMs,
}, async () => {
  const { code, output } = await runDemo();

  expect(output).toContain("All is as claimed");
  expect(output.match(/^ {4}yes {2}/gm)).toHaveLength(6);
  expect(output).not.toMatch(/^ {4} NO {2}/m);
  expect(output).toMatch(/\$ bin\/kafka-backup backup --config \S+\/backup\.yaml/);
  expect(output).toMatch(/restore --config \S+ --time-window-end \S+\.\d{3}Z/);
  expect(output).toMatch(/^ {4}orders +13,516 +12,038 +1,478$/m);
  expect(output).toMatch(/^ {4}orders-everything +13,516 +12,038 +1,478$/m);
  expect(output).toMatch(/^ {4}orders-restored +12,038 +12,038 +0$/m);
  expect(code).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});

test("Ctrl-C ends the demo and its Kafka, and leaves nothing behind", {
  timeout: timeoutMs,
}, async () => {
  let interrupted = false;
  const { code, output } = await runDemo((output, demo) => {
    if (interrupted || !output.includes("It listens on")) return;
    interrupted = true;
    demo.kill("SIGINT");
  });

  const [, port] = /It listens on 127\.0\.0\.1:(\d+)/.exec(output)!;
  expect(output).toContain("Kafka is stopped");
  expect(await canConnect(Number(port))).toBe(false);
  expect(output).not.toContain("claimed");
  expect(code).toBe(130);
  expect(await readdir(folder)).toEqual([]);
});
