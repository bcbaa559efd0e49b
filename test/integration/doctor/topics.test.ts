/** What `doctor` finds of topics, of what is lost to retention, and of the space that is needed. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "#cli/main.ts";
import { checkRetention } from "#core/doctor/retention.ts";
import { checkTopics } from "#core/doctor/topics.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { Clock } from "#core/runtime.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { systemClock } from "#core/system.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { examine, linesOf } from "#test/support/doctor.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { syntheticBackup, syntheticBatches } from "#test/support/synthetic-backup.ts";

const hourMs = 3_600_000;
const connection = { bootstrap_servers: [kafkaForTests().bootstrapServers] };
let cluster: Cluster;
let admin: KafkaAdmin;
let folder: string;

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-doctor-"));
});
afterAll(async () => {
  await Promise.all([cluster?.disconnect(), admin?.disconnect()]);
  await rm(folder, { recursive: true, force: true });
});

const newEngine = () => testEngine(cluster, { storage: openFilesystem(folder) });

function examineTopics(include: readonly string[], backup_id = randomName("backup"), deps = {}) {
  const storage = { backend: "filesystem", path: folder };
  return examine({ backup_id, connection, include, storage }, deps);
}

/** The machine's, `ms` later: all that is stored now is old by then. */
const clockIn = (ms: number): Clock => ({ ...systemClock, nowMs: () => Date.now() + ms });

type Asked = Parameters<typeof examineTopics>;

/** What is found, but of groups: those of other tests are on the same broker. */
async function linesFor(...asked: Asked): Promise<string[]> {
  const report = await examineTopics(...asked);
  return linesOf({ ...report, findings: report.findings.filter((one) => one.check !== "groups") });
}

/** What is found of the source alone: a clock that is ahead of the storage's is a finding too. */
async function sourceLines(...asked: Asked): Promise<string[]> {
  const lines = await linesFor(...asked);
  return lines.filter((line) => !line.includes(" clock-skew: "));
}

test("K6: names and patterns that select nothing are found, each for itself", async () => {
  const topic = await createTopic(cluster);
  expect(await sourceLines([topic, "absent-topic", "absent-*"])).toEqual([
    'error no-topic: topic "absent-topic" of topics.include does not exist, or may not be seen',
    'error no-topic: no topic matches the pattern "absent-*" of topics.include',
  ]);
});

test("K6: a pattern that may match nothing is told, and is no fault", async () => {
  const topic = await createTopic(cluster);
  const allowed = { exclude: [], allow_no_match: true };
  const some = await checkTopics(cluster, { include: [topic, "absent-*"], ...allowed });
  expect(some.value).toMatchObject([{ name: topic }]);
  expect(some.findings).toMatchObject([{ severity: "info", code: "no-match" }]);
  const none = await checkTopics(cluster, { include: ["absent-*"], ...allowed });
  expect(none.value).toEqual([]);
  expect(none.findings).toMatchObject([{ severity: "info", code: "no-match" }]);
  const named = await checkTopics(cluster, { include: ["absent-topic"], ...allowed });
  expect(named.findings).toMatchObject([{ severity: "error", code: "no-topic" }]);
});

describe("retention", () => {
  test("K1: records that were deleted before a run had read them are found", async () => {
    const topic = await createTopic(cluster);
    const engine = newEngine();
    await appendNumbered(cluster, { topic, from: 0, count: 20 });
    await engine.backup([topic]);
    await appendNumbered(cluster, { topic, from: 20, count: 20 });
    expect(await sourceLines([topic], engine.backupId)).toEqual([]);
    await admin.deleteRecordsBefore(topic, 0, 30);
    expect(await sourceLines([topic], engine.backupId)).toEqual([
      `error deleted-before-backup: ${topic}-0: offsets 20 to 29 were deleted before a run had read them`,
    ]);
  });

  test("K1: records that the next run would come too late for are found, while there are any", async () => {
    const topic = await createTopic(cluster, { config: { "retention.ms": String(48 * hourMs) } });
    const engine = newEngine();
    await appendNumbered(cluster, { topic, from: 0, count: 10 });
    await engine.backup([topic]);
    const later = (hours: number) =>
      sourceLines([topic], engine.backupId, { clock: clockIn(hours * hourMs) });
    expect(await later(50)).toEqual([]);
    await appendNumbered(cluster, { topic, from: 10, count: 10 });
    expect(await later(40)).toEqual([]);
    expect(await later(50)).toEqual([
      `warning retention-near: retention.ms of topic ${topic} is 172800000 (48 h), and it was last ` +
        "backed up 50 h ago: records that are not in the backup may be deleted at any time",
    ]);
  });

  test("K1: runs so seldom that one that fails loses records are found", async () => {
    // A synthetic backup has a run each hour.
    const topic = await createTopic(cluster, { config: { "retention.ms": String(1.5 * hourMs) } });
    const backup = syntheticBackup();
    for (const offset of [0n, 3n]) {
      await backup.addRun({ partitions: [{ topic, segments: [syntheticBatches(offset, 1)] }] });
    }
    const { manifest } = (await backup.catalog.latestManifest(backup.backupId))!;
    const lineage = manifest.topics[0]!.partitions[0]!.lineages[0]!;
    const logs = [{ topic, partition: 0, start: 0n, end: 10n, lineage }];
    const nowMs = Number(manifest.runs.at(-1)!.planned_at);
    const { findings } = await checkRetention(cluster, logs, manifest, nowMs);
    expect(findings).toMatchObject([
      {
        ...{ severity: "warning", code: "retention-margin" },
        message:
          `retention.ms of topic ${topic} is 5400000 (1.5 h), and runs come every 1.0 h: ` +
          "if one fails, records are lost",
      },
    ]);
  });
});

test("a backup of another cluster is found", async () => {
  const topic = await createTopic(cluster);
  const backup_id = randomName("backup");
  const backup = syntheticBackup(openFilesystem(folder), backup_id);
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  expect(await sourceLines([topic], backup_id)).toEqual([
    expect.stringMatching(`^error other-cluster: .* but source is cluster ${cluster.clusterId}$`),
  ]);
});

test("a disk that the next run would fill is found, by what the brokers hold", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 100, valueBytes: 10_000 });
  const freeSpaceAt = async () => ({ freeBytes: 500_000n, totalBytes: 10_000_000n });
  const engine = newEngine();
  const lines = () => linesFor([topic], engine.backupId, { freeSpaceAt });
  expect(await lines()).toEqual([
    expect.stringMatching(
      /^error no-space: 488.3 KiB are free, the next run needs about 97\d\.\d KiB/,
    ),
  ]);
  // What is backed up already is not needed again.
  await engine.backup([topic]);
  expect(await lines()).toEqual([]);
});

describe("the command", () => {
  async function doctor(config: object, ...args: string[]) {
    const file = join(folder, `${randomName("config")}.yaml`);
    await writeFile(file, JSON.stringify(config));
    const io = fakeIo();
    const exitCode = await run(["doctor", "--config", file, ...args], io);
    return { exitCode, stdout: io.out(), stderr: io.err() };
  }

  const configOf = (include: readonly string[]) => ({
    mode: "backup",
    backup_id: "nightly",
    source: { ...connection, topics: { include } },
    storage: { backend: "filesystem", path: folder },
  });

  test("exits 3 where there is, and says what and how, also for scripts", async () => {
    const config = configOf(["absent-topic"]);
    const { exitCode, stdout } = await doctor(config);
    expect(exitCode).toBe(exitCodes.doneWithGaps);
    expect(stdout).toMatch(/^error: source topics: topic "absent-topic" .*\n {2}\S/m);
    expect(stdout).toMatch(/^1 error, \d+ warnings?\.$/m);
    const forScripts = await doctor(config, "--format", "json");
    expect(forScripts.exitCode).toBe(exitCodes.doneWithGaps);
    expect(JSON.parse(forScripts.stdout)).toMatchObject({
      ...{ mode: "backup", backup_id: "nightly", storage: `file://${folder}` },
      findings: expect.arrayContaining([
        expect.objectContaining({ severity: "error", code: "no-topic", check: "topics" }),
      ]),
    });
  });

  test("exits 2 for a configuration that is wrong, and connects to nothing", async () => {
    const { exitCode, stderr } = await doctor({ ...configOf(["*"]), mode: "bakcup" });
    expect(exitCode).toBe(exitCodes.usage);
    expect(stderr).toContain("mode");
  });
});
