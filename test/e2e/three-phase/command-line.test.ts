/** `three-phase-restore`, and `restore` that resets, as a user runs them: files, output, exit codes. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { holdGroups } from "#test/support/members.ts";

const group = randomName("payments-processor");
const backupId = "pitr-backup";
let cluster: Cluster;
let folder: string;
let topic: string;

beforeAll(async () => {
  cluster = await connectForTests();
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-three-phase-"));
  topic = await createTopic(cluster, { partitionCount: 2, prefix: "payments" });
  for (const partition of [0, 1]) {
    await appendNumbered(cluster, { topic, partition, from: 0, count: 50 });
  }
  const offsets = [30n, 50n].map((offset, partition) => {
    return { topic, partition, offset, leaderEpoch: -1, metadata: "" };
  });
  await cluster.commitOffsets(group, offsets);
  const config = await file("backup", {
    mode: "backup",
    backup_id: backupId,
    source: source(),
    storage: storage(),
  });
  expect((await kafkaBackup("backup", "--config", config)).code).toBe(exitCodes.done);
});
afterAll(async () => {
  await cluster.disconnect();
  await rm(folder, { recursive: true });
});

const storage = () => ({ backend: "filesystem", path: join(folder, "backups") });
const connection = () => ({ bootstrap_servers: [kafkaForTests().bootstrapServers] });
const source = () => ({ ...connection(), topics: { include: [topic] } });

async function file(name: string, config: object): Promise<string> {
  const path = join(folder, `${name}-${randomName("config")}.yaml`);
  await writeFile(path, JSON.stringify(config)); // JSON is YAML.
  return path;
}

/** A restore file with the keys of `restore`; sections beside it in `more`. */
function restoreFile(target: string, keys: object = {}, more: object = {}): Promise<string> {
  return file("restore", {
    mode: "restore",
    backup_id: backupId,
    target: connection(),
    storage: storage(),
    restore: { topic_mapping: { [topic]: target }, consumer_groups: [group], ...keys },
    ...more,
  });
}

async function kafkaBackup(...args: string[]) {
  const io = fakeIo();
  const code = await run(args, io);
  return { code, out: io.out(), err: io.err() };
}

async function asJson(...args: string[]) {
  const { code, out, err } = await kafkaBackup(...args, "--format", "json");
  if (out === "") throw new Error(`${args.join(" ")} ended with ${code}:\n${err}`);
  return { code, data: JSON.parse(out) };
}

async function standing(target: string): Promise<bigint[]> {
  const { groups } = await cluster.committedOffsets([group]);
  return groups[0]!.offsets
    .filter((one) => one.topic === target)
    .sort((a, b) => a.partition - b.partition)
    .map(({ offset }) => offset);
}

test("R4 --dry-run shows where the groups would go, and writes nothing", async () => {
  const target = randomName("restored");
  const config = await restoreFile(target);
  const { code, data } = await asJson("three-phase-restore", "--config", config, "--dry-run");
  expect(code).toBe(exitCodes.done);
  expect(data).toMatchObject({ would: "begin", offset_source: "latest", findings: [] });
  expect(data.groups).toMatchObject([
    { group, partitions: [{ target_offset: 30 }, { target_offset: 50 }] },
  ]);
  expect(await cluster.describeTopics([target])).toEqual([]);
  const { out } = await kafkaBackup("three-phase-restore", "--config", config, "--dry-run");
  expect(out).toContain("Then offsets of 1 consumer group are set, strategy offset-map");
  expect(out).toContain("would restore and then set offsets");
  expect(out).not.toContain("would restore this");
});

test("R4 --dry-run says one thing where it would be refused, or would only recommend", async () => {
  const dryRun = async (keys: object) => {
    const config = await restoreFile(randomName("restored"), keys);
    return (await kafkaBackup("three-phase-restore", "--config", config, "--dry-run")).out;
  };
  const refused = await dryRun({ consumer_groups: ["nobody"], offset_source: "latest" });
  expect(refused).toContain("No offsets of consumer groups are decided");
  expect(refused).toContain("offset source latest");
  expect(refused).toContain("would be refused before anything is written");
  expect(refused).not.toContain("The same command");
  const manual = await dryRun({ consumer_group_strategy: "manual" });
  expect(manual).toContain("Then offsets of 1 consumer group are recommended, strategy manual");
  expect(manual).toContain("would restore and then recommend offsets");
  expect(manual).not.toContain(" set");
});

test("R4 --dry-run says what only the restore can tell", async () => {
  const end = new Date(Date.now()).toISOString();
  const begin = new Date(Date.now() - 3_600_000).toISOString();
  const config = await restoreFile(randomName("restored"));
  const window = ["--time-window-start", begin, "--time-window-end", end];
  const args = ["three-phase-restore", "--config", config, "--dry-run", ...window];
  const { data } = await asJson(...args);
  expect(data.groups[0].partitions[0]).toMatchObject({
    target_offset: null,
    note: "known when the records are restored",
  });
});

test("R4 --dry-run finds members, exit 14", async () => {
  const config = await restoreFile(randomName("restored"));
  const held = await holdGroups(topic, [`consumer:${group}`]);
  try {
    const { code, data } = await asJson("three-phase-restore", "--config", config, "--dry-run");
    expect(code).toBe(exitCodes.preflightRefused);
    expect(data.would).toBe("refuse");
    expect(data.findings).toMatchObject([{ code: "group-has-members", group }]);
    expect(data.findings[0].message).toContain(`consumer:${group}`);
    const refused = await kafkaBackup("three-phase-restore", "--config", config);
    expect(refused.code).toBe(exitCodes.preflightRefused);
    expect(refused.err).toContain("GroupNotEmptyError");
  } finally {
    await held.release();
  }
});

test("the report tells what was restored, what moved and what was verified, and is there again", async () => {
  const target = randomName("restored");
  const config = await restoreFile(target);
  const first = await kafkaBackup("three-phase-restore", "--config", config);
  expect(first).toMatchObject({ code: exitCodes.done });
  expect(first.out).toMatch(/Restore \S+ is done and verified: 100 records in 2 partitions/);
  expect(first.out).toMatch(/offsets of 1 consumer group were set and read back/);
  expect(first.out).toMatch(
    new RegExp(`${group}\\s+${target}\\s+0\\s+30\\s+-\\s+30\\s+20\\s+exact`),
  );
  expect(first.out).toMatch(/The three phases took prepare .+, restore .+, reset .+\./);
  expect(first.out).toMatch(/Before the restore, the groups stood as in snapshot snapshot-\S+\./);
  const command = / {2}kafka-backup (offset-rollback rollback .+ --snapshot-id snapshot-\S+)\n/;
  const rollback = command.exec(first.out)![1]!;
  expect(await standing(target)).toEqual([30n, 50n]);

  const again = await asJson("three-phase-restore", "--config", config, "--resume");
  expect(again).toMatchObject({ code: exitCodes.done, data: { status: "already_done" } });
  const { report } = again.data;
  expect(report).toMatchObject({
    outcome: "reset",
    strategy: "offset-map",
    offset_source: "latest",
    restored: { record_count: 100, partition_count: 2 },
  });
  expect(report.groups[0].partitions[0]).toMatchObject({
    source_offset: 30,
    current_offset: null,
    target_offset: 30,
    committed_offset: 30,
    reason: "exact",
  });
  expect(rollback).toContain(`--path ${join(folder, "backups")} --config ${config} `);
  expect(rollback.endsWith(report.reset_snapshot_id)).toBe(true);
  const rolledBack = await kafkaBackup(...rollback.split(" "));
  expect(rolledBack.code).toBe(exitCodes.done);
  expect(await standing(target)).toEqual([]);
});

test("restore resets when it is told to, and says that it leaves groups alone when not", async () => {
  const target = randomName("restored");
  const without = await kafkaBackup("restore", "--config", await restoreFile(target));
  expect(without.code).toBe(exitCodes.done);
  expect(without.err).toContain("consumer groups are left alone");
  expect(await standing(target)).toEqual([]);

  // The records are there: only the offsets are left to be set.
  const config = await restoreFile(target, { reset_consumer_offsets: true });
  const { code, data } = await asJson("restore", "--config", config);
  expect(code).toBe(exitCodes.done);
  expect(data).toMatchObject({ status: "already_done", three_phase: { outcome: "reset" } });
  expect(await standing(target)).toEqual([30n, 50n]);
});

test("header-based needs headers, and finds the same offsets by them", async () => {
  const keys = { consumer_group_strategy: "header-based", reset_consumer_offsets: true };
  const target = randomName("restored");
  const refused = await kafkaBackup("restore", "--config", await restoreFile(target, keys));
  expect(refused.code).toBe(exitCodes.preflightRefused);
  expect(refused.err).toContain("include_offset_headers: true");
  const config = await restoreFile(target, { ...keys, include_offset_headers: true });
  const { data } = await asJson("restore", "--config", config);
  expect(data.three_phase.groups[0].partitions[0].reason).toBe("header");
  expect(await standing(target)).toEqual([30n, 50n]);
});

test("backup_first brings what came since the last backup, and where groups stand now", async () => {
  await appendNumbered(cluster, { topic, partition: 0, from: 50, count: 7 });
  const target = randomName("restored");
  const keys = { backup_first: true };
  const more = { source: source(), backup: { compression: "lz4" } };
  const config = await restoreFile(target, keys, more);
  const { data } = await asJson("three-phase-restore", "--config", config);
  expect(data.report).toMatchObject({
    backup_first: { generation: 2, record_count: 7 },
    restored: { record_count: 107 },
  });
  const alone = await kafkaBackup("restore", "--config", config);
  expect(alone.code).toBe(exitCodes.usage);
  expect(alone.err).toContain("backup_first: does nothing");
});

/**
 * A snapshot by whose positions a reset fails: the broker takes no metadata of that length. Being
 * a safety one, it is used only where it is named.
 */
async function snapshotThatFails(): Promise<string> {
  const path = join(folder, "backups");
  const taken = await asJson(
    ...["offset-rollback", "snapshot", "--path", path, "--groups", group],
    ...["--bootstrap-servers", kafkaForTests().bootstrapServers],
  );
  const file = (id: string) => join(path, "snapshots", `${id}.json`);
  const snapshot = JSON.parse(await readFile(file(taken.data.snapshot_id), "utf8"));
  const id = `${taken.data.snapshot_id}-bad`;
  const place = snapshot.consumer_groups[group].partitions[`${topic}-1`];
  place.metadata = "x".repeat(5000);
  await writeFile(file(id), JSON.stringify({ ...snapshot, snapshot_id: id, safety: true }));
  return id;
}

test("R7 a reset that fails is told on stdout as well, and what continues it and what undoes it", async () => {
  const target = randomName("restored");
  const keys = { offset_source: `snapshot:${await snapshotThatFails()}` };
  const config = await restoreFile(target, keys);
  const first = await kafkaBackup("three-phase-restore", "--config", config);
  expect(first.code).toBe(exitCodes.failed);
  expect(first.err).toContain("OffsetResetFailedError");
  expect(first.err).toContain(`three-phase-restore --config ${config} --resume`);
  expect(first.out).toMatch(/Restore \S+ is done and verified/);
  expect(first.out).toContain("records are restored, but reset 1 failed; offsets are not set");
  expect(first.out).toMatch(new RegExp(`${group}\\s+${target}\\s+0\\s+30\\s+-\\s+as before`));
  expect(first.out).toMatch(/The three phases took prepare .+, restore .+, reset .+\./);
  expect(await standing(target)).toEqual([]);

  const again = await asJson("three-phase-restore", "--config", config, "--resume");
  expect(again).toMatchObject({
    code: exitCodes.failed,
    data: {
      status: "reset_failed",
      restore: { report: { record_count: 107 } },
      failed_reset: { attempt: 2, groups: [{ group, status: "as_before" }] },
      error: { name: "OffsetResetFailedError" },
    },
  });
  const { three_phase_id, reset_snapshot_id, plan, phases } = again.data.failed_reset;
  expect(plan.groups[0].partitions[0]).toMatchObject({ current_offset: null, target_offset: 30 });
  expect(phases).toHaveLength(3);
  const abandoned = ["--config", config, "--abandon", three_phase_id];
  const { out } = await kafkaBackup("three-phase-restore", ...abandoned);
  expect(out).toContain(`--config ${config} --snapshot-id ${reset_snapshot_id}\n`);
});

test("R7 restore that is stopped while it resets tells the same, exit 130", async () => {
  const target = randomName("restored");
  const config = await restoreFile(target, { reset_consumer_offsets: true });
  const io = fakeIo();
  const write = io.stderr.write.bind(io.stderr);
  io.stderr.write = (text) => {
    write(text);
    if (/three-phase restore \S+: reset/.test(text)) io.signal("SIGINT");
  };
  const code = await run(["restore", "--config", config, "--format", "json"], io);
  expect(code).toBe(exitCodes.cancelled);
  expect(io.err()).toContain("Run the same command again");
  const { status, report, three_phase, error } = JSON.parse(io.out());
  expect({ status, error: error.name }).toEqual({
    status: "reset_stopped",
    error: "CancelledError",
  });
  expect(report.record_count).toBe(107);
  expect(three_phase).toMatchObject({ attempt: 1, restore_id: report.restore_id });
  expect(await standing(target)).toEqual([]);
  expect((await kafkaBackup("restore", "--config", config)).code).toBe(exitCodes.done);
  expect(await standing(target)).toEqual([30n, 50n]);
});

test("what cannot be meant is refused with its own exit code", async () => {
  const nobody = await restoreFile(randomName("restored"), { consumer_groups: undefined });
  const withoutGroups = await kafkaBackup("three-phase-restore", "--config", nobody);
  expect(withoutGroups.code).toBe(exitCodes.usage);
  expect(withoutGroups.err).toContain("restore.consumer_groups: is required");
  const config = await restoreFile(randomName("restored"));
  const nothing = await kafkaBackup("three-phase-restore", "--config", config, "--resume");
  expect(nothing.code).toBe(exitCodes.notFound);
  const unknown = await kafkaBackup("three-phase-restore", "--config", config, "--abandon", "x");
  expect(unknown.code).toBe(exitCodes.notFound);
});
