/** `offset-reset` and `show-offset-mapping` as operators run them, and the script as Kafka runs it. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { installKafkaScripts, pathWith } from "#local/kafka-scripts.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { holdGroups } from "#test/support/members.ts";

const kafka = kafkaForTests();
const nasty = randomName(`-it's "$(id)" \`id\`; a,b\\n%s`);
const plain = randomName("billing");
let cluster: Cluster;
let folder: string;
let engine: TestEngine;
let source: string;
let target: string;

beforeAll(async () => {
  cluster = await connectForTests();
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-reset-"));
  engine = testEngine(cluster, { storage: await openFilesystem(folder) });
  source = await createTopic(cluster, { partitionCount: 2 });
  for (const partition of [0, 1]) {
    await appendNumbered(cluster, { topic: source, partition, from: 0, count: 30 });
  }
  await commit(plain, [12n, 30n]);
  await commit(nasty, [7n]);
  await engine.backup([source]);
});

afterAll(async () => {
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

/** One offset for each partition from 0 on. */
async function commit(group: string, offsets: readonly bigint[], topic = source, metadata = "m") {
  const at = offsets.map((offset, partition) => {
    return { topic, partition, offset, leaderEpoch: -1, metadata };
  });
  const results = await cluster.commitOffsets(group, at);
  expect(results.map(({ error }) => error)).toEqual(at.map(() => undefined));
}

/** `partition offset [metadata]` in one topic. */
async function standing(group: string, topic: string): Promise<string[]> {
  const { groups } = await cluster.committedOffsets([group]);
  return (groups[0]?.offsets ?? [])
    .filter((at) => at.topic === topic)
    .map(({ partition, offset, metadata }) => `${partition} ${offset} [${metadata}]`)
    .sort();
}

async function cli(command: readonly string[], ...argv: string[]) {
  const io = fakeIo();
  const exitCode = await run(
    [...command, "--path", folder, "--backup-id", engine.backupId, ...argv],
    io,
  );
  return { exitCode, stdout: io.out(), stderr: io.err() };
}

const plan = ["offset-reset", "plan"];
const execute = ["offset-reset", "execute"];
const onCluster = ["--bootstrap-servers", kafka.bootstrapServers];
/** A comma divides names. */
const named = (group: string) => ["--groups", group.replaceAll(",", "\\,")];

test("before a restore the mapping says where groups stand, and a plan that one is missing", async () => {
  const json = await cli(["show-offset-mapping"], "--format", "json");
  expect(json.exitCode).toBe(exitCodes.done);
  const mapping = JSON.parse(json.stdout);
  expect(mapping).toMatchObject({ restore_id: null, target_cluster_id: null });
  expect(mapping.consumer_groups[plain].partitions).toEqual({
    [`${source}-0`]: {
      ...{ committed_offset: 12, metadata: "m", end_offset: 30, lag: 18 },
      ...{ target_topic: null, target_partition: null, target_offset: null, reason: null },
    },
    [`${source}-1`]: expect.objectContaining({ committed_offset: 30, end_offset: 30, lag: 0 }),
  });
  const missing = await cli(plan, ...named(plain));
  expect(missing.exitCode).toBe(exitCodes.notFound);
  expect(missing.stderr).toContain("has no finished restore");
});

describe("after a restore", () => {
  beforeAll(async () => {
    target = randomName("restored");
    const partition_mapping = { [source]: { 0: 1, 1: 0 } };
    await engine.restore({ [source]: target }, { partition_mapping });
  });

  test("the mapping says where each group goes, as JSON, YAML, CSV and a table", async () => {
    const json = JSON.parse((await cli(["show-offset-mapping"], "--format", "json")).stdout);
    expect(json.consumer_groups[plain].partitions[`${source}-0`]).toMatchObject({
      ...{ target_topic: target, target_partition: 1, target_offset: 12, reason: "exact" },
    });
    const yaml = await cli(["show-offset-mapping"], "--format", "yaml");
    expect(parse(yaml.stdout)).toEqual(json);
    const csv = (await cli(["show-offset-mapping"], "--format", "csv")).stdout.split("\r\n");
    expect(csv[0]).toBe(
      "group,topic,partition,committed_offset,end_offset,lag,target_topic,target_partition,target_offset,reason",
    );
    expect(csv).toContain(`${plain},${source},0,12,30,18,${target},1,12,exact`);
    expect(csv).toContain(
      `"${nasty.replaceAll('"', '""')}",${source},0,7,30,23,${target},1,7,exact`,
    );
    const table = (await cli(["show-offset-mapping"])).stdout;
    expect(table).toMatch(new RegExp(`${plain} +${source} +0 +12 +30 +18 +${target}-1 +12 +exact`));
  });

  test("a plan is made from the backup alone, and against what is there", async () => {
    const offline = await cli(plan, ...named(plain));
    expect(offline.exitCode).toBe(exitCodes.done);
    expect(offline.stderr).toMatch(
      new RegExp(
        `^\\S+ info {2}by restore \\S+ \\(the only one that fits\\): ${source} into ${target}\\n$`,
      ),
    );
    const row = (now: string) =>
      new RegExp(`${plain} +${target} +1 +${source}-0 +12 +${now} +12 +18 +exact$`, "m");
    expect(offline.stdout).toMatch(row("\\?"));
    expect((await cli(plan, ...named(plain), ...onCluster)).stdout).toMatch(row("none"));
    await commit(plain, [4n, 5n], target);
    const online = await cli(plan, ...named(plain), ...onCluster, "--format", "json");
    expect(JSON.parse(online.stdout).groups[0].partitions).toMatchObject([
      { topic: target, partition: 0, current_offset: 4, target_offset: 30, lag: 0 },
      { topic: target, partition: 1, current_offset: 5, target_offset: 12, lag: 18 },
    ]);
    expect(await standing(plain, target)).toEqual(["0 4 [m]", "1 5 [m]"]);
  });

  test("execute names the safety snapshot, resets, and a rollback to it undoes it", async () => {
    await commit(plain, [4n, 5n], target);
    const done = await cli(execute, ...named(plain), ...onCluster);
    expect(done.exitCode).toBe(exitCodes.done);
    expect(done.stdout).toContain("1 group reset and read back.");
    expect(await standing(plain, target)).toEqual(["0 30 [m]", "1 12 [m]"]);
    // As it is printed, in a shell.
    const [, command = "", id = ""] =
      /^ {2}kafka-backup (.*--snapshot-id (snapshot-\S+) .*)$/m.exec(done.stdout) ?? [];
    expect(done.stderr).toContain(`safety snapshot ${id}`);
    const undone = await promisify(execFile)("sh", ["-c", `bin/kafka-backup ${command}`]);
    expect(undone.stdout).toContain(plain);
    expect(await standing(plain, target)).toEqual(["0 4 [m]", "1 5 [m]"]);
  });

  test("current reads the source cluster; its option is for that alone", async () => {
    await commit(plain, [20n, 30n]);
    const servers = ["--source-bootstrap-servers", kafka.bootstrapServers];
    const current = ["--offset-source", "current", "--format", "json"];
    const { stdout } = await cli(plan, ...named(plain), ...servers, ...current);
    expect(JSON.parse(stdout)).toMatchObject({
      offset_source: "current",
      groups: [{ partitions: [{ target_offset: 30 }, { source_offset: 20, target_offset: 20 }] }],
    });
    const file = join(folder, "restore.yaml");
    const connection = `bootstrap_servers: [${JSON.stringify(kafka.bootstrapServers)}]`;
    const config = [
      ...["mode: restore", `backup_id: ${engine.backupId}`, `source: { ${connection} }`],
      `storage: { backend: filesystem, path: ${JSON.stringify(folder)} }`,
      `target: { ${connection}, topics: { include: ["*"] } }`,
      "restore: { consumer_groups: [x], offset_source: current }",
    ];
    await writeFile(file, `${config.join("\n")}\n`);
    const byFile = await cli(plan, ...named(plain), "--config", file, ...current);
    const { groups } = JSON.parse(byFile.stdout);
    expect(groups).toMatchObject([{ partitions: [{}, { source_offset: 20, current_offset: 5 }] }]);
    const refused = await cli(plan, ...named(plain), ...servers);
    expect(refused.exitCode).toBe(exitCodes.usage);
    expect(refused.stderr).toContain("--offset-source current alone");
  });

  test("K7: a group that is refused leaves the others reset, and the command exits 3", async () => {
    const [fine, refused] = [randomName("a-fine"), randomName("b-refused")];
    for (const group of [fine, refused]) await commit(group, [3n]);
    const groups = ["--groups", `${fine},${refused}`];
    const snapshot = ["offset-rollback", "snapshot", "--path", folder, ...groups];
    const io = fakeIo();
    expect(await run([...snapshot, ...onCluster, "--format", "json"], io)).toBe(exitCodes.done);
    // As if it had been stored of a broker with a larger offset.metadata.max.bytes.
    const stored = JSON.parse(io.out());
    stored.consumer_groups[refused].partitions[`${source}-0`].metadata = "m".repeat(5000);
    const file = join(folder, "snapshots", `${stored.snapshot_id}.json`);
    await writeFile(file, JSON.stringify(stored));
    const from = ["--offset-source", `snapshot:${stored.snapshot_id}`];
    const result = await cli(execute, ...groups, ...onCluster, ...from);
    expect(result.exitCode).toBe(exitCodes.doneWithGaps);
    expect(result.stdout).toMatch(
      new RegExp(`${refused} +${target} +1 .*OFFSET_METADATA_TOO_LARGE`),
    );
    expect(await standing(fine, target)).toEqual(["1 3 [m]"]);
    expect(await standing(refused, target)).toEqual([]);
    const none = await cli(execute, "--groups", refused, ...onCluster, ...from);
    expect(none.exitCode).toBe(exitCodes.failed);
  });

  test("a strategy that only reports says that nothing was committed", async () => {
    const group = randomName("manual");
    await commit(group, [3n]);
    const current = ["--offset-source", "current", "--strategy", "manual"];
    const result = await cli(execute, ...named(group), ...onCluster, ...current);
    expect(result.exitCode).toBe(exitCodes.done);
    expect(result.stdout).toContain("Nothing was committed: manual only reports.");
    expect(await standing(group, target)).toEqual([]);
  });

  test.each(["manual", "skip", "cluster-scan"])("no script is written by %s", async (strategy) => {
    const script = ["offset-reset", "script"];
    const refused = await cli(script, ...named(plain), ...onCluster, "--strategy", strategy);
    expect(refused).toMatchObject({ exitCode: exitCodes.usage, stdout: "" });
    expect(refused.stderr).toContain(`strategy ${strategy} only reports`);
  });

  test("by timestamps each row has its time, and the caveat is said once", async () => {
    const group = randomName("timed");
    await commit(group, [3n, 4n]);
    const options = ["--offset-source", "current", "--strategy", "timestamp-based"];
    const { stdout } = await cli(plan, ...named(group), ...onCluster, ...options);
    expect(stdout.match(/ timestamp: \d{4}-\d\d-\d\dT[\d:.]+Z$/gm)).toHaveLength(2);
    expect(stdout.match(/records may be read twice/g)).toHaveLength(1);
  });

  test.each([
    [["--strategy", "magic"], "Allowed choices are offset-map"],
    [["--offset-source", "yesterday"], "at-window-end, latest, current or snapshot:ID"],
    [["--all-groups"], "cannot be used with option '--groups"],
  ])("%j is a usage error", async (options, text) => {
    const result = await cli(plan, ...named(plain), ...options);
    expect(result.exitCode).toBe(exitCodes.usage);
    expect(result.stderr).toMatch(new RegExp(text));
  });

  test("without groups it is told how to name them", async () => {
    const result = await cli(plan);
    expect(result.exitCode).toBe(exitCodes.usage);
    expect(result.stderr).toContain("--groups or --all-groups is missing");
  });

  test("the script does what execute does, but for metadata; a group with members fails alone", async () => {
    const held = randomName("held");
    await commit(held, [9n]);
    await commit(plain, [12n, 30n]);
    await engine.backup([source]);
    const groups = [plain, nasty, held];
    const script = join(folder, "reset.sh");
    const { stdout } = await cli(["offset-reset", "script"], ...groups.flatMap(named));
    await writeFile(script, stdout);
    for (const group of [plain, nasty]) await commit(group, [1n, 1n], target);
    const members = await holdGroups(target, [`classic:${held}`]);
    try {
      const { code, stderr } = await runScript(script);
      expect({ code, stderr }).toEqual({
        code: exitCodes.doneWithGaps,
        stderr: `not reset: group ${held}\n${target}-1\n`,
      });
    } finally {
      await members.release();
    }
    const byScript = [await standing(plain, target), await standing(nasty, target)];
    await commit(plain, [1n, 1n], target);
    await commit(nasty, [1n, 1n], target);
    const executed = await cli(execute, ...[plain, nasty].flatMap(named), ...onCluster);
    expect(executed.exitCode).toBe(exitCodes.done);
    const byExecute = [await standing(plain, target), await standing(nasty, target)];
    const offsets = (standing: string[][]) =>
      standing.map((lines) => lines.map((line) => line.split(" [")[0]));
    expect(offsets(byScript)).toEqual(offsets(byExecute));
    expect(byScript).toEqual([
      ["0 30 []", "1 12 []"],
      ["0 1 [m]", "1 7 []"],
    ]);
    await writeFile(script, (await cli(["offset-reset", "script"], ...named(plain))).stdout);
    expect(await runScript(script)).toMatchObject({ code: exitCodes.done, stderr: "" });
  });
});

test("a group of a topic whose restored one is gone is told to restore it again, and exits 3", async () => {
  const [first, second] = [await createTopic(cluster), await createTopic(cluster)];
  const group = randomName("gone");
  for (const topic of [first, second]) {
    await appendNumbered(cluster, { topic, from: 0, count: 10 });
    await commit(group, [4n], topic);
  }
  const own = { storage: await openFilesystem(folder), backupId: randomName("backup") };
  const other = testEngine(cluster, own);
  await other.backup([first, second]);
  const [kept, gone] = [randomName("kept"), randomName("gone")];
  await other.restore({ [first]: kept, [second]: gone });
  const operator = await KafkaAdmin.connect();
  try {
    await operator.deleteTopic(gone);
  } finally {
    await operator.disconnect();
  }
  const io = fakeIo();
  const argv = [...execute, "--path", folder, "--backup-id", own.backupId, "--groups", group];
  expect(await run([...argv, ...onCluster], io)).toBe(exitCodes.doneWithGaps);
  expect(io.out()).toContain("1 group reset and read back, not in all topics.");
  expect(io.out()).toContain(`1 group not reset in what was restored of ${second}: `);
  expect(io.out()).toContain("Restore that again (restore --new)");
  expect(await standing(group, kept)).toEqual(["0 4 [m]"]);
});

test("of two restores that fit none is taken by itself, whatever the command, and both are named", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 10 });
  const group = randomName("torn");
  await commit(group, [4n], topic);
  const own = { storage: await openFilesystem(folder), backupId: randomName("backup") };
  const other = testEngine(cluster, own);
  await other.backup([topic]);
  const [copy, wanted] = [randomName("copy"), randomName("wanted")];
  for (const into of [copy, wanted]) await other.restore({ [topic]: into });
  const asked = async (command: readonly string[], ...more: string[]) => {
    const io = fakeIo();
    const which = ["--path", folder, "--backup-id", own.backupId, "--groups", group];
    const exitCode = await run([...command, ...which, ...onCluster, ...more], io);
    return { exitCode, out: io.out(), err: io.err() };
  };
  for (const command of [execute, plan, ["offset-reset", "script"]]) {
    const refused = await asked(command);
    expect(refused).toMatchObject({ exitCode: exitCodes.usage, out: "" });
    expect(refused.err).toContain(`: ${topic} into ${copy}, cluster `);
    expect(refused.err).toContain(`: ${topic} into ${wanted}, cluster `);
  }
  expect(await asked(plan, "--strategy", "timestamp-based")).toMatchObject({
    exitCode: exitCodes.usage,
  });
  expect(await standing(group, copy)).toEqual([]);
  expect(await standing(group, wanted)).toEqual([]);
  const done = await asked(execute, "--restore-id", "newest");
  expect(done.exitCode).toBe(exitCodes.done);
  expect(done.err).toContain(`(newest): ${topic} into ${wanted}`);
  expect(await standing(group, wanted)).toEqual(["0 4 [m]"]);
  expect(await standing(group, copy)).toEqual([]);
  const io = fakeIo();
  await run(["show-offset-mapping", "--path", folder, "--backup-id", own.backupId], io);
  expect(io.out()).toContain(`${wanted}-0`);
  expect(io.err()).toMatch(/ warn {2}by restore \S+, which finished last; --restore-id chooses/);
});

test("a plan on the cluster names the members for which execute would be refused, and exits 14", async () => {
  const group = randomName("held");
  await commit(group, [9n]);
  const current = ["--offset-source", "current", ...named(group)];
  const members = await holdGroups(target, [`classic:${group}`]);
  try {
    const refused = await cli(execute, ...current, ...onCluster);
    const [, message = ""] = /^GroupNotEmptyError: (.*)$/m.exec(refused.stderr) ?? [];
    expect(message).toMatch(/has a member: .* at \//);
    const online = await cli(plan, ...current, ...onCluster);
    expect(online.exitCode).toBe(exitCodes.preflightRefused);
    expect(online.stdout).toMatch(new RegExp(`${group} +${target} +1 +${source}-0 +9 +none +9`));
    expect(online.stdout).toContain(`execute would be refused:\n  ${message}\n`);
    const json = await cli(plan, ...current, ...onCluster, "--format", "json");
    expect(json.exitCode).toBe(exitCodes.preflightRefused);
    expect(JSON.parse(json.stdout).findings).toMatchObject([
      { code: "GroupNotEmptyError", message, remedy: expect.stringContaining("Stop the group's") },
    ]);
    const manual = await cli(plan, ...current, ...onCluster, "--strategy", "manual");
    expect(manual.exitCode).toBe(exitCodes.done);
  } finally {
    await members.release();
  }
  expect((await cli(plan, ...current, ...onCluster)).exitCode).toBe(exitCodes.done);
});

/** With Kafka's own tool under the name that its distribution gives it. */
async function runScript(file: string): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const PATH = pathWith(await installKafkaScripts());
  const env = { ...process.env, PATH, BOOTSTRAP: kafka.bootstrapServers };
  return new Promise((resolve) => {
    execFile("sh", [file], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}
