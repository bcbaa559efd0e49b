/** One demo a language and one of the serverless side; `npm run demos` runs all of them. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { demoTimeoutMs, runDemo } from "#test/e2e/demos/run-demo.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-demos-shown-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test.each([
  "cli/pitr-rollback-e2e",
  "java-streams/pitr-restore",
  "python/backup-restore-py",
  "serverless/three-phase",
])(
  "the demo %s shows what it says, and leaves nothing behind",
  {
    timeout: demoTimeoutMs,
  },
  async (name) => {
    const { code, output } = await runDemo(`demos/${name}/demo.sh`, [], { folder });
    if (code !== 0) throw new Error(`${name} ended with ${code}:\n${output}`);
    expect(output).toMatch(/^All claims hold: ([1-9]\d*) of \1\.$/m);
    expect(output).not.toMatch(/^ +NO {2}/m);
    expect(await readdir(folder)).toEqual([]);
  },
);
