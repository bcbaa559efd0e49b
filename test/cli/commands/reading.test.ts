/** What commands that read say of places and ids that are mistyped, and to who reads no further. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { syntheticBackup, syntheticBatches } from "#test/support/synthetic-backup.ts";

const executable = join(import.meta.dirname, "../../../bin/kafka-backup");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-reading-"));
  const partitions = Array.from({ length: 300 }, (_, partition) => {
    return { partition, segments: [syntheticBatches(0n, 1)] };
  });
  await syntheticBackup(openFilesystem(folder), "nightly").addRun({ partitions });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function cli(...argv: string[]) {
  const io = fakeIo();
  return { exitCode: await run(argv, io), out: io.out(), err: io.err() };
}

const commands: Record<string, readonly string[]> = {
  list: [],
  describe: ["--backup-id", "nightly"],
  inspect: ["--backup-id", "nightly", "--topic", "orders", "--partition", "0"],
  validate: ["--backup-id", "nightly"],
  prune: ["--orphans", "--backup-id", "nightly"],
  "show-offset-mapping": ["--backup-id", "nightly"],
};

test.each(Object.entries(commands))("%s says that a folder is not there", async (name, options) => {
  const path = join(folder, "mistyped");
  const { exitCode, out, err } = await cli(name, "--path", path, ...options);
  expect({ exitCode, out }).toEqual({ exitCode: exitCodes.notFound, out: "" });
  expect(err).toContain(
    `ObjectNotFoundError: there is no folder file://${path}\nhint: Correct --path`,
  );
});

test.each(Object.entries(commands).filter(([name]) => name !== "list"))(
  "%s says that a backup is not there, and how to see which are",
  async (name, options) => {
    const argv = options.map((option) => (option === "nightly" ? "weekly" : option));
    const { exitCode, err } = await cli(name, "--path", folder, ...argv);
    expect(exitCode).toBe(exitCodes.notFound);
    expect(err).toMatch(/^BackupNotFoundError: .*"weekly".*\nhint: `kafka-backup list/m);
  },
);

test("who reads no further than the first lines sees no error", { timeout: 60_000 }, async () => {
  const describe = [executable, "describe", "--path", folder, "--backup-id", "nightly"];
  const line = `"$@" --format json | head -n 2; echo "\${PIPESTATUS[0]}"`;
  const child = spawn("bash", ["-c", line, "bash", ...describe], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(err).toBe("");
  expect(out).toBe('{\n  "backup_id": "nightly",\n0\n');
});

/** Longer than anything holds back the exit of a command that is over. */
const slowReaderMs = 3_000;

test("who reads slowly gets all of a large output", { timeout: 60_000 }, async () => {
  const argv = ["describe", "--path", folder, "--backup-id", "nightly", "--format", "json"];
  const child = spawn(executable, argv, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "readable");
  await new Promise((resolve) => setTimeout(resolve, slowReaderMs));
  const read = JSON.parse(await text(child.stdout));
  expect(read.topics[0].partitions).toHaveLength(300);
});
