/** `kafka-backup inspect`, run in this process on a folder of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import {
  syntheticBackup,
  syntheticBatch,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-inspect-"));
  const backup = syntheticBackup(await openFilesystem(folder), "nightly");
  const record = {
    timestamp: 1_736_936_600_000n,
    key: "order-1",
    value: `{"note":"first\nsecond"} ${"x".repeat(500)}`,
    headers: [["trace", "\u001b[2J"]] as const,
  };
  await backup.addRun({
    partitions: [
      { segments: [syntheticBatches(0n, 10)] },
      { topic: "payments", segments: [[syntheticBatch(0n, [record])]] },
    ],
  });
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function cli(...args: string[]) {
  const io = fakeIo();
  const argv = ["inspect", "--path", folder, "--backup-id", "nightly", ...args];
  return { exitCode: await run(argv, io), stdout: io.out(), stderr: io.err() };
}

const orders = ["--topic", "orders", "--partition", "0"];
const payments = ["--topic", "payments", "--partition", "0"];

test("shows no more than a screen, and how to see the rest", async () => {
  const { exitCode, stdout } = await cli(...orders);
  expect(exitCode).toBe(exitCodes.done);
  expect(stdout.split("\n").length).toBeLessThanOrEqual(24);
  expect(stdout).toMatch(/^orders-0, lineage 1 of backup nightly, generation 1$/m);
  expect(stdout).toMatch(/^ *19 +2026-.*key-19 +value of the record at offset 19 /m);
  expect(stdout).toMatch(/^more from --from-offset 20 on$/m);
  const rest = await cli(...orders, "--from-offset", "20", "--limit", "100");
  expect(rest.stdout).toMatch(/^ *29 /m);
  expect(rest.stdout).not.toContain("more from");
});

test("keeps every record on one line, and nothing of it steers the terminal", async () => {
  const { stdout } = await cli(...payments);
  const [line = ""] = stdout.split("\n").filter((each) => each.includes("order-1"));
  expect(line).toMatch(
    /^ *0 +2025-01-15T10:23:20\.000Z +order-1 +\{"note":"first second"\} x+… +\d+ +1$/,
  );
  expect(line.length).toBeLessThanOrEqual(120);
});

test("shows all there is of a record with --details", async () => {
  const { stdout } = await cli(...payments, "--details");
  expect(stdout).toMatch(/^ {2}time +2025-01-15T10:23:20\.000Z \(create\)$/m);
  expect(stdout).toMatch(/^ {2}batch +0 to 0, none, \d+ B, leader epoch 0$/m);
  expect(stdout).toMatch(/^ {2}header +trace: 0x1b5b324a$/m);
  expect(stdout).toMatch(/^ {4}\{"note":"first\n {4}second"\} x{500}$/m);
  expect(stdout).not.toContain("\u001b");
});

test("as data has names, times and whole offsets, and says what was cut", async () => {
  const { stdout } = await cli(...payments, "--format", "json", "--max-bytes", "8");
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ backup_id: "nightly", topic: "payments", partition: 0, lineage: 1, generation: 1 },
    records: [
      {
        ...{ offset: 0, timestamp: 1_736_936_600_000, key: { bytes: 7, text: "order-1" } },
        value: { cut: true, text: '{"note":' },
        headers: [{ key: { text: "trace" }, value: { hex: "1b5b324a" } }],
      },
    ],
  });
});

test("begins at a time, and says where nothing is as new as that", async () => {
  const from = (time: string) => cli(...payments, "--from-time", time);
  expect((await from("2025-01-15T10:23:20Z")).stdout).toContain("order-1");
  expect((await from("1736936600001")).stdout).toContain("There are no such records.");
});

test.each([
  [["--topic", "orders"], "--partition is needed"],
  [[], "--topic or --segment is needed"],
  [[...orders, "--from-time", "1736936600"], "looks like seconds"],
  [[...orders, "--from-offset", "-1"], "must be an offset"],
  [["--segment", "orders"], "is not a segment's key"],
  [[...orders, "--segment", "x"], "cannot be used with"],
])("refuses what it cannot mean: %j", async (args, problem) => {
  const { exitCode, stderr, stdout } = await cli(...args);
  expect(exitCode).toBe(exitCodes.usage);
  expect(stderr).toContain(problem);
  expect(stdout).toBe("");
});

test("names what is not there", async () => {
  const { exitCode, stderr } = await cli("--topic", "absent", "--partition", "0");
  expect(exitCode).toBe(exitCodes.notFound);
  expect(stderr).toContain("describe");
});
