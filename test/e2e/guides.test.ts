/** The commands of the guides, as they stand and in their order, on services of their own. */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { blocksToRun, guides, readDocument } from "#test/support/guides.ts";

const timeoutMs = 400_000;
const root = join(import.meta.dirname, "../..");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-guide-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const sessionsRun = new Set<string>();

/** What the shell of `demos/shell` is told: every block, after its line, until one fails. */
function sessionOf(guide: string): string {
  const steps = blocksToRun(guide).map(
    ({ line, text }) => `echo "--- ${guide}:${line}"\n${text}\n`,
  );
  const { before = "" } = guides[guide]!;
  return `set -eo pipefail\n${before}${steps.join("\n")}\necho "--- end"\n`;
}

/** `files` lie in the folder that the session works in. */
async function runSession(guide: string, files: Record<string, string> = {}): Promise<string> {
  sessionsRun.add(guide);
  const work = await mkdtemp(join(folder, "work-"));
  const session = join(work, "session.sh");
  await writeFile(session, sessionOf(guide));
  for (const [name, text] of Object.entries(files)) await writeFile(join(work, name), text);
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
  const said = await runSession("docs/quickstart.md");
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
  const said = await runSession("docs/restore-guide.md");
  expect(said).toMatch(/^\d{13} divides good from bad$/m);
  expect(said).toMatch(/^payments-look:0:60$/m);
  expect(said).toMatch(/^payments-processor +payments +0 +30 +60 +30 /m);
  expect(said).toContain("60 payments, each once");
});

test("the guide to offset mapping translates a position", { timeout: timeoutMs }, async () => {
  const said = await runSession("docs/offset-mapping.md");
  expect(said).toMatch(/^orders-streams +orders +0 +25 +40 +15 +orders-copy-0 +35 +exact$/m);
  expect(said).toContain('"target_offset": 35');
  expect(said).toMatch(/^order-26$/m);
  expect(said).toContain("kafka-consumer-groups.sh");
});

test("the storage guide backs up to a bucket", { timeout: timeoutMs }, async () => {
  const said = await runSession("docs/storage-guide.md");
  expect(said).toContain("Backup events, generation 1: 500 records");
  expect(said.match(/^backup: +events$/gm)).toHaveLength(1);
});

test("what operations tells to type does what it says", { timeout: timeoutMs }, async () => {
  const said = await runSession("docs/operations.md");
  expect(said).toMatch(/^snapshot: snapshot-/m);
  expect(said).toMatch(/^rolled back to snapshot-\S+: 2 of 2 groups, and read back$/m);
  expect(said).toMatch(/^billing +payments-restored +0 +payments-0 +12 +none +12 +8 +exact$/m);
  expect(said).toContain("2 groups reset and read back.");
});

test("the README's files and commands fit together", { timeout: timeoutMs }, async () => {
  const [backup, restore, groups] = yamlBlocks(readDocument("README.md"));
  const servers = { bootstrap_servers: `\${BOOTSTRAP_SERVERS}` };
  const files = {
    "readme-backup.yaml": stringify({ ...backup, source: { ...backup.source, ...servers } }),
    "readme-restore.yaml": stringify({
      ...restore,
      target: { ...restore.target, ...servers },
      restore: { ...restore.restore, ...groups.restore },
    }),
  };
  const said = await runSession("README.md", files);
  expect(said).toContain("Backup orders, generation 1: 40 records from 1 topic");
  expect(said).toContain("Backup orders, generation 2: 10 records from 1 topic");
  expect(said).toMatch(/is done and verified: 40 records .*, generation 2, up to /);
  expect(said).toMatch(/^orders-billing +orders-eu-restored +0 +25 +- +25 +15 +exact$/m);
  expect(said).toContain("offsets of 2 consumer groups were set and read back");
});

test("every document with commands to run had them run", () => {
  const toRun = Object.keys(guides).filter((guide) => blocksToRun(guide).length > 0);
  expect([...sessionsRun].sort()).toEqual(toRun.sort());
});

// biome-ignore lint/suspicious/noExplicitAny: what a reader would copy, whatever it is
function yamlBlocks(markdown: string): any[] {
  return [...markdown.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => parse(text!));
}
