/** The commands that read and prune a backup, run in this process on a folder of its own. */
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { collect } from "#test/support/collect.ts";
import { intentOf, reportOf } from "#test/support/restore-requests.ts";
import { syntheticBackup, syntheticBatches } from "#test/support/synthetic-backup.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-inspect-"));
  const backup = syntheticBackup(await openFilesystem(folder), "nightly");
  await backup.addRun({
    partitions: [
      { segments: [syntheticBatches(0n, 3)] },
      { topic: "payments", segments: [syntheticBatches(5n, 1)] },
    ],
  });
  await backup.addRun({
    partitions: [
      {
        startOffset: 9n,
        gaps: [{ from_offset: 9n, to_offset: 20n }],
        segments: [syntheticBatches(20n, 2)],
      },
    ],
  });
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function cli(...argv: string[]) {
  const io = fakeIo();
  return { exitCode: await run(argv, io), stdout: io.out(), stderr: io.err() };
}

const at = (command: string, backupId = "nightly") => [
  command,
  "--path",
  folder,
  "--backup-id",
  backupId,
];

async function segmentPaths(): Promise<string[]> {
  const storage = await openFilesystem(folder);
  const keys = (await collect(storage.list("nightly/topics/"))).map(({ key }) => key);
  return keys.filter((key) => key.endsWith(".zst")).map((key) => join(folder, key));
}

test("list shows each backup with what it holds, as a table and as data", async () => {
  const table = await cli("list", "--path", folder);
  expect(table).toMatchObject({ exitCode: exitCodes.done, stderr: "" });
  expect(table.stdout).toMatch(/^backup +generation +runs/);
  expect(table.stdout).toMatch(/^nightly +2 +2 +2 +2 +18 /m);
  const json = await cli("list", "--path", folder, "--format", "json");
  expect(JSON.parse(json.stdout)).toMatchObject([{ backup_id: "nightly", record_count: 18 }]);
  const yaml = await cli("list", "--path", folder, "--format", "yaml");
  expect(parse(yaml.stdout)).toEqual(
    JSON.parse(json.stdout).map((entry: object) => ({ ...entry, age_ms: expect.any(Number) })),
  );
});

test("list of an empty place says so, and is done", async () => {
  await mkdir(join(folder, "nothing"));
  const { exitCode, stdout } = await cli("list", "--path", join(folder, "nothing"));
  expect(exitCode).toBe(exitCodes.done);
  expect(stdout).toContain("There are no backups in ");
});

test("list ends with 13 where a backup cannot be read, and still shows the others", async () => {
  await syntheticBackup(await openFilesystem(folder), "other").addRun({
    partitions: [{ segments: [syntheticBatches(0n, 1)] }],
  });
  await writeFile(join(folder, "other/manifests/00000001.json"), "{}");
  const { exitCode, stdout } = await cli("list", "--path", folder);
  expect(exitCode).toBe(exitCodes.damaged);
  expect(stdout).toMatch(/^nightly +2 /m);
  expect(stdout).toMatch(/^other +damaged/m);
});

test("describe shows ranges, gaps, sizes and runs", async () => {
  const { exitCode, stdout } = await cli(...at("describe"));
  expect(exitCode).toBe(exitCodes.done);
  expect(stdout).toMatch(/^restorable until: 2026-01-31T13:00:00.000Z$/m);
  expect(stdout).toMatch(/^stored: .*\(\d.*x\), 3 segments$/m);
  expect(stdout).toMatch(/^orders +0 +1 +15 +0-8, 20-25 /m);
  expect(stdout).toMatch(/^orders +0 +1 +9 +19 +retention /m);
  expect(stdout).toMatch(/^run-/m);
});

test("describe shows the newest restores, and exits 13 where one cannot be read", async () => {
  const storage = await openFilesystem(folder);
  for (const second of [0, 1, 2]) {
    const restore_id = `20260131T12000${second}Z-00000001`;
    const record = new RestoreRecord(storage, "nightly", restore_id);
    const intent = intentOf({ backup_id: "nightly", restore_id });
    await record.writeIntent(intent);
    if (second === 1) await record.writeReport({ ...reportOf(intent), record_count: 1_234n });
  }
  const sound = await cli(...at("describe"), "--restores", "2");
  expect(sound.exitCode).toBe(exitCodes.done);
  expect(sound.stdout).toMatch(/^20260131T120001Z-00000001 +finished +1 +- +1 +1,234 /m);
  expect(sound.stdout).toMatch(/^20260131T120002Z-00000001 +begun +1 +- +1 +- /m);
  expect(sound.stdout).not.toContain("20260131T120000Z");
  await storage.put("nightly/restores/20260131T120002Z-00000001/intent.json", Buffer.from("{"));
  const damaged = await cli(...at("describe"));
  expect(damaged.exitCode).toBe(exitCodes.damaged);
  expect(damaged.stdout).toMatch(/^20260131T120002Z-00000001 +damaged/m);
  expect((await cli(...at("describe"), "--restores", "0")).exitCode).toBe(exitCodes.done);
});

test("describe of an older generation and of fewer runs", async () => {
  const { stdout } = await cli(
    ...at("describe"),
    ...["--generation", "1", "--runs", "0", "--format", "json"],
  );
  expect(JSON.parse(stdout)).toMatchObject({ generation: 1, runs: [], gap_count: 0 });
});

test("validate ends with 0 for a sound backup, at both levels", async () => {
  const shallow = await cli(...at("validate"));
  expect(shallow.exitCode).toBe(exitCodes.done);
  expect(shallow.stdout).toContain("is SOUND at the shallow level");
  expect(shallow.stdout).toContain("INFO offsets_gap: orders-0 at offset 9");
  const deep = await cli(...at("validate"), "--deep", "--format", "json");
  expect(deep.exitCode).toBe(exitCodes.done);
  expect(JSON.parse(deep.stdout)).toMatchObject({
    status: "sound",
    level: "deep",
    checked: { segments: 3, records: 18 },
  });
});

test("validate --deep ends with 13 for a flipped bit, and says where and what to do", async () => {
  const [path] = await segmentPaths();
  const body = await readFile(path!);
  body[body.length - 1]! ^= 1;
  await writeFile(path!, body);
  expect((await cli(...at("validate"))).exitCode).toBe(exitCodes.done);
  const { exitCode, stdout } = await cli(...at("validate"), "--deep");
  expect(exitCode).toBe(exitCodes.damaged);
  expect(stdout).toContain("ERROR frame_damaged: orders-0 at offset 0");
  expect(stdout).toContain("remedy: Bring back an older version of the object");
  expect(stdout).toContain("is DAMAGED at the deep level");
});

test("validate ends with 13 for a missing segment", async () => {
  const [path] = await segmentPaths();
  await rm(path!);
  const { exitCode, stdout } = await cli(...at("validate"), "--format", "json");
  expect(exitCode).toBe(exitCodes.damaged);
  expect(JSON.parse(stdout).findings).toContainEqual(
    expect.objectContaining({ code: "segment_missing", topic: "orders", offset: 0 }),
  );
});

test("C3: prune lists orphans, and removes them only with --execute and past the grace time", async () => {
  const orphan = join(
    folder,
    "nightly/topics/orders/partition=0/segment-00000000000000000099-dead.zst",
  );
  await writeFile(orphan, "never finished");
  const prune = (...more: string[]) => cli(...at("prune"), "--orphans", ...more);
  const young = await prune("--execute");
  expect(young.exitCode).toBe(exitCodes.done);
  expect(young.stdout).toMatch(/-dead\.zst +segment +14 B .* kept, too young$/m);
  const dry = await prune("--grace", "0s");
  expect(dry.stdout).toMatch(/-dead\.zst .* would be removed$/m);
  expect(dry.stdout).toContain("Add --execute to remove them.");
  expect(await readFile(orphan, "utf8")).toBe("never finished");
  const executed = await prune("--grace", "0s", "--execute", "--format", "json");
  expect(JSON.parse(executed.stdout).counts).toMatchObject({ removed: { objects: 1, bytes: 14 } });
  await expect(readFile(orphan)).rejects.toMatchObject({ code: "ENOENT" });
  expect((await prune()).stdout).toMatch(/^Backup nightly has no orphans/);
});

test("C6: prune lists old snapshots, and removes them only with --execute", async () => {
  const id = "snapshot-20200101T000000Z-0a1b2c3d";
  const snapshot = {
    ...{ snapshot_id: id, description: "", created_at: "2020-01-01T00:00:00Z", format_version: 1 },
    ...{ consumer_groups: {}, cluster_id: "c", all_groups: false, topics: {}, unread_groups: [] },
    safety: true,
  };
  const file = join(folder, "snapshots", `${id}.json`);
  await mkdir(join(folder, "snapshots"));
  await writeFile(file, JSON.stringify(snapshot));
  const year2020 = new Date("2020-01-01T00:00:00Z");
  await utimes(file, year2020, year2020);
  const prune = (...more: string[]) =>
    cli("prune", "--snapshots", "safety", "--path", folder, "--older-than", "30d", ...more);
  const dry = await prune();
  expect(dry.stdout).toMatch(new RegExp(`^${id} .* would be removed$`, "m"));
  expect(dry.stdout).toContain("Add --execute to remove them.");
  const executed = await prune("--execute", "--format", "json");
  expect(JSON.parse(executed.stdout)).toMatchObject({ counts: { removed: 1, needed: 0 } });
  expect((await prune()).stdout).toMatch(/^There are no offset snapshots in /);
});

test("a backup that does not exist ends each command with 10, and nothing on stdout", async () => {
  for (const command of [at("describe", "no"), at("validate", "no"), at("prune", "no")]) {
    const orphans = command[0] === "prune" ? ["--orphans"] : [];
    const result = await cli(...command, ...orphans);
    expect(result, command[0]!).toMatchObject({ exitCode: exitCodes.notFound, stdout: "" });
    expect(result.stderr).toContain("BackupNotFoundError");
  }
});

test("S2: a backup id that reaches outside is a usage error", async () => {
  for (const id of ["../nightly", "a/b", "snapshots", ".."]) {
    expect((await cli(...at("describe", id))).exitCode, id).toBe(exitCodes.usage);
    expect((await cli(...at("validate", id))).exitCode, id).toBe(exitCodes.usage);
    expect((await cli(...at("prune", id), "--orphans")).exitCode, id).toBe(exitCodes.usage);
  }
});

test("wrong options are usage errors that name the option", async () => {
  const wrong = [
    { argv: at("prune"), names: "--orphans" },
    { argv: ["prune", "--orphans", "--path", folder], names: "--backup-id" },
    { argv: ["prune", "--snapshots", "all", "--path", folder], names: "--older-than" },
    { argv: [...at("prune"), "--snapshots", "all"], names: "--backup-id" },
    { argv: [...at("prune"), "--orphans", "--grace", "soon"], names: "--grace" },
    { argv: [...at("describe"), "--generation", "0"], names: "--generation" },
    { argv: [...at("describe"), "--runs", "few"], names: "--runs" },
    { argv: ["validate", "--path", folder], names: "--backup-id" },
    { argv: ["list"], names: "--path" },
  ];
  for (const { argv, names } of wrong) {
    const { exitCode, stderr } = await cli(...argv);
    expect(exitCode, argv.join(" ")).toBe(exitCodes.usage);
    expect(stderr).toContain(names);
  }
});
