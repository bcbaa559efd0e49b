/** Demos that are stopped half-way: no process and no folder of theirs is left. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { demoTimeoutMs, runDemo } from "#test/e2e/demos/run-demo.ts";

const timeout = demoTimeoutMs;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-demos-stopped-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function answers(address: string): Promise<boolean> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Command lines of living processes in which one of the texts stands. */
async function processesWith(texts: readonly string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "stat=,args="]);
  return stdout
    .split("\n")
    .filter((line) => !line.startsWith("Z") && texts.some((text) => line.includes(text)));
}

/** Of a demo that has ended: its services do not answer, and nothing runs that names them. */
async function expectNothingLeft(output: string): Promise<void> {
  const [, kafka] = /BOOTSTRAP_SERVERS=(\S+)/.exec(output)!;
  const [, s3] = /AWS_ENDPOINT_URL_S3=http:\/\/(\S+)/.exec(output)!;
  expect(await readdir(folder)).toEqual([]);
  expect([await answers(kafka!), await answers(s3!)]).toEqual([false, false]);
  // What was killed last may still be in the kernel's list.
  await vi.waitFor(async () => expect(await processesWith([folder, kafka!, s3!])).toEqual([]), {
    timeout: 30_000,
    interval: 200,
  });
}

test("Ctrl-C ends a demo with an application in the background", { timeout }, async () => {
  const { code, output } = await runDemo("demos/java-streams/pitr-restore/demo.sh", [], {
    folder,
    stop: { when: /^3\. A faulty release/m, signal: "SIGINT", to: "group" },
  });
  expect(code).toBe(130);
  expect(output).not.toContain("FAILED");
  await expectNothingLeft(output);
});

test("SIGTERM ends a serverless demo that deploys", { timeout }, async () => {
  const { code, output } = await runDemo("demos/serverless/three-phase/demo.sh", [], {
    folder,
    stop: { when: /THREE_PHASE=/, signal: "SIGTERM", to: "process" },
  });
  expect(code).toBe(143);
  expect(output).not.toContain("All claims hold");
  await expectNothingLeft(output);
});

test("Ctrl-C ends `npm run demos`, whose table says so", { timeout }, async () => {
  const names = ["cli/pitr-rollback-e2e"];
  const { code, output } = await runDemo("node_modules/.bin/node", ["demos/run.ts", ...names], {
    folder,
    stop: { when: /^50 payments written$/m, signal: "SIGINT", to: "group" },
  });
  expect(code).toBe(130);
  expect(output).toMatch(/^cli\/pitr-rollback-e2e +\d+ s {2}stopped$/m);
  await expectNothingLeft(output);
});
