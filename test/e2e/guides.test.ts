/** The commands of the guides, as they stand and in their order, on services of their own. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandBlocks } from "#test/support/markdown.ts";

const timeoutMs = 400_000;
const root = join(import.meta.dirname, "../..");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-guide-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Blocks that are not run, by how they begin, each with the reason. */
const notRun: Record<string, Record<string, string>> = {
  "quickstart.md": { "demos/shell": "opens the shell that the test stands in for" },
  "restore-guide.md": {},
  "offset-mapping.md": {},
  "storage-guide.md": {
    "aws s3api create-bucket": "needs an account of AWS and its command line",
    "aws s3 sync": "needs a backup in an account of AWS",
  },
  "demo-index.md": {
    "npm run demos": "runs demos, which have tests of their own",
    "demos/shell": "opens the shell that the test stands in for",
    "docker compose up": "needs Docker",
  },
  "troubleshooting.md": {},
};

/** What the shell of `demos/shell` is told: every block, after its line, until one fails. */
async function sessionOf(guide: string): Promise<string> {
  const markdown = await readFile(join(root, "docs", guide), "utf8");
  const exceptions = Object.keys(notRun[guide]!);
  const blocks = commandBlocks(markdown);
  const unused = exceptions.filter((start) => !blocks.some((one) => one.text.startsWith(start)));
  expect(unused).toEqual([]);
  const toRun = blocks.filter((one) => !exceptions.some((start) => one.text.startsWith(start)));
  if (toRun.length === 0) return "";
  const steps = toRun.map(({ line, text }) => `echo "--- docs/${guide}:${line}"\n${text}\n`);
  return `set -eo pipefail\n${steps.join("\n")}\necho "--- end"\n`;
}

async function runSession(guide: string): Promise<string> {
  const session = join(folder, `${guide}.sh`);
  const work = await mkdtemp(join(folder, "work-"));
  await writeFile(session, await sessionOf(guide));
  const child = spawn(process.execPath, ["local/with-services.ts", "bash", session], {
    cwd: root,
    env: { ...process.env, WORK: work, BOOTSTRAP_SERVERS: undefined },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  if (code !== 0) throw new Error(`${guide} ended with ${code}:\n${stdout}${stderr}`);
  expect(stdout.trimEnd().endsWith("--- end")).toBe(true);
  return stdout;
}

test("the quickstart does what it says", { timeout: timeoutMs }, async () => {
  const said = await runSession("quickstart.md");
  expect(said).toContain("Backup quickstart, generation 1: 1,000 records from 1 topic");
  expect(said).toContain("Backup quickstart, generation 2: 200 records from 1 topic");
  expect(said).toMatch(/is done and verified: 1,200 records .*, generation 2\./);
  expect(said).toContain("generation 3: 50 records");
  expect(said).toMatch(/is done and verified: 1,200 records .*, generation 3, up to /);
  expect(said).toMatch(/^ *1200$/m);
});

test("the restore guide brings a group back to where it stood", {
  timeout: timeoutMs,
}, async () => {
  const said = await runSession("restore-guide.md");
  expect(said).toMatch(/^\d{13} divides good from bad$/m);
  expect(said).toMatch(/^payments-look:0:60$/m);
  expect(said).toMatch(/^payments-processor +payments +0 +30 +60 +30 /m);
  expect(said).toContain("60 payments, each once");
});

test("the guide to offset mapping translates a position", { timeout: timeoutMs }, async () => {
  const said = await runSession("offset-mapping.md");
  expect(said).toMatch(/^orders-streams +orders +0 +25 +40 +15 +orders-copy-0 +35 +exact$/m);
  expect(said).toContain('"target_offset": 35');
  expect(said).toMatch(/^order-26$/m);
  expect(said).toContain("kafka-consumer-groups.sh");
});

test("the storage guide backs up to a bucket", { timeout: timeoutMs }, async () => {
  const said = await runSession("storage-guide.md");
  expect(said).toContain("Backup events, generation 1: 500 records");
  expect(said.match(/^backup: +events$/gm)).toHaveLength(1);
});

test("the guides that only point elsewhere have nothing left to run", async () => {
  expect(await sessionOf("demo-index.md")).toBe("");
  expect(await sessionOf("troubleshooting.md")).toBe("");
});
