/** A tiny benchmark: that it runs and tells what it measured. No time is judged. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-bench-test-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function runBench(args: readonly string[]) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    const env = { ...process.env, TMPDIR: folder };
    execFile(process.execPath, ["bench/run.ts", ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

test("a tiny benchmark prints a table and JSON, and leaves nothing behind", {
  timeout: 300_000,
}, async () => {
  const json = join(folder, "result.json");
  const names = ["backup-none", "restore-none", "one-record-restore"];
  const sizes = ["--records", "2000", "--runs", "1"];
  const { code, stdout, stderr } = await runBench([
    ...["--only", names.join(","), "--json", json, ...sizes],
  ]);

  expect(code, stderr).toBe(0);
  const { records, runs, sections } = JSON.parse(await readFile(json, "utf8"));
  expect({ records, runs }).toEqual({ records: 2000, runs: 1 });
  expect(sections.map(({ name }: { name: string }) => name)).toEqual(names);
  for (const { name, rows } of sections) {
    expect(stdout).toContain(`[${name}]`);
    expect(rows.length).toBeGreaterThan(0);
    for (const { what, ours, theirs = 1 } of rows) {
      expect(ours, what).toBeGreaterThan(0);
      expect(theirs, what).toBeGreaterThan(0);
    }
  }
  expect(await readdir(folder)).toEqual(["result.json"]);
});

test("the benchmark names what there is when asked for something else", async () => {
  const { code, stderr } = await runBench(["--only", "restroe"]);
  expect(code).toBe(2);
  expect(stderr).toContain("--only restroe: there are backup-none");
  expect(await readdir(folder)).toEqual([]);
});
