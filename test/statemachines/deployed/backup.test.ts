/** The backup machine as `cdk deploy` makes it, in the emulator, on a real Kafka. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import type { Catalog, LeaseScope } from "#core/catalog/catalog.ts";
import { openCatalog, openTable } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, stateRunsFolder } from "#core/storage/keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { type AwsStage, deployAwsStage } from "#local/aws-stage.ts";
import { appendNumbered } from "#test/support/append.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { batchOnDisk, flipByteOnDisk } from "#test/support/broker-files.ts";
import { storageIn } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import { endCommands, resultOf, startCommand } from "#test/support/command-runs.ts";
import { testEngine } from "#test/support/engine.ts";
import { gateFunction } from "#test/support/function-faults.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { takeOver, whileLeaseMoves } from "#test/support/leases.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const location = {
  ...{ endpoint: aws.endpoint, region: aws.region },
  ...{ access_key_id: aws.accessKeyId, secret_access_key: aws.secretAccessKey },
};
const bucket = randomName("bucket");
const stackName = "KafkaBackupTest";
const { bootstrapServers } = kafkaForTests();
let stage: AwsStage;
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let catalog: Catalog;
let folder: string;
/** 60 partitions of very different sizes. */
let topic: string;

const sizes = [
  ...[0, 1, 10, 100, 1_000, 3_000, 5, 20, 300, 20_000, 60_000, 150_000],
  ...Array.from({ length: 48 }, (_, i) => (i * i) % 90),
];
/** By its number, the partition of which one worker alone would have more than an even share. */
const largest = sizes.indexOf(Math.max(...sizes));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-machine-"));
  const topics = ["no-such-topic"];
  const deploying = deployAwsStage(aws, { bootstrapServers, bucket, stackName, topics });
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: sizes.length });
  for (const [partition, count] of sizes.entries()) {
    await appendNumbered(cluster, { topic, partition, from: 0, count, perBatch: 500, valueBytes });
  }
  stage = await deploying;
  machine = new TestStateMachine(aws, stage.stateMachines.backup!);
  storage = await storageIn(bucket);
  catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
}, 240_000);

afterAll(async () => {
  endCommands();
  machine?.close();
  await storage?.close();
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

const valueBytes = 200;

/** The command line's own run on the same bucket, as a process. */
async function commandLine(command: string, backupId: string, ...args: string[]): Promise<string> {
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  const config = join(folder, `${backupId}.json`);
  await writeFile(
    config,
    JSON.stringify({
      mode: "backup",
      backup_id: backupId,
      source: { bootstrap_servers: bootstrapServers, topics: { include: [topic] } },
      storage: { backend: "s3", bucket, endpoint, region },
    }),
  );
  const where =
    command === "backup"
      ? ["--config", config]
      : ["--path", `s3://${bucket}?endpoint=${endpoint}`, "--backup-id", backupId];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["bin/kafka-backup", command, ...where, "--format", "json", ...args],
    {
      env: {
        ...process.env,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      },
    },
  );
  return stdout;
}

function inputFor(backupId: string, topics: readonly string[] = [topic]) {
  return { backup_id: backupId, topics: { include: topics }, turn_ms: 1 };
}

describe("F2 sixty partitions of very different sizes", () => {
  const backupId = randomName("machine");
  const byCommand = randomName("command");

  test("come out as the command line's run has them, in many turns of several workers, the largest in ranges", async () => {
    // The checkpoints go with the commit.
    const gate = await gateFunction(aws, stackName, "finish-backup");
    const execution = await machine.start({ ...inputFor(backupId), range_min_offsets: 20_000 });
    const ranges = await rangesSeen(backupId).finally(() => gate.open());
    const ended = await machine.ended(execution).finally(() => gate.remove());
    expect(ranges.every((name) => name.startsWith(`${largest}-`))).toBe(true);
    await commandLine("backup", byCommand);
    expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status: "done" } });
    const records = sizes.reduce((sum, count) => sum + count, 0);
    expect(ended.output).toMatchObject({ partitions: 60, record_count: records, generation: 1 });
    const ours = await archivedPartitions({ storage, catalog }, backupId);
    expect(Object.keys(ours)).toHaveLength(60);
    expect(ours).toEqual(await archivedPartitions({ storage, catalog }, byCommand));

    const table = await openTable({ table: stage.table, ...location }, { clock: systemClock });
    const items = await collect(table.query(`backup#${backupId}`, ""));
    table.close();
    expect(items.map(({ sk, status }) => [sk.replace(/#\d{8}T.*/, "#…"), status])).toEqual([
      ["lease#backup", undefined],
      ["manifest#00000001", undefined],
      ["run#…", "committed"],
    ]);
    expect(items[0]).toMatchObject({ released: true });

    const children = await machine.childrenOf(ended.arn);
    expect(children.length).toBeGreaterThan(2);
    const turns = children.flat();
    const unfinished = turns.filter((turn) => "status" in turn && turn.status === "continue");
    expect(unfinished.length).toBeGreaterThanOrEqual(5);
    expect(turns.length - unfinished.length).toBe(children.length);
    // Answers stay far below the 256 KiB of a state machine's data.
    expect(Math.max(...turns.map((turn) => JSON.stringify(turn).length))).toBeLessThan(500);
  }, 300_000);

  test("come back as Java's consumer saw them, out of a backup that was read in ranges", async () => {
    const restored = randomName("restored");
    await testEngine(cluster, { storage, backupId }).restore({ [topic]: restored });
    const contents = await contentsOf([topic, restored]);
    for (const [partition, count] of sizes.entries()) {
      const seen = contents.get(`${restored}/${partition}`);
      expect(seen).toBe(contents.get(`${topic}/${partition}`));
      if (count > 0) expect(seen).toMatch(new RegExp(`^${count} records `));
    }
  }, 300_000);

  /** Names of the folders of checkpoints of ranges, as soon as there are two. */
  async function rangesSeen(backupId: string): Promise<string[]> {
    return vi.waitFor(
      async () => {
        const found = await collect(storage.list(inBackup(backupId, stateRunsFolder)));
        const folders = found.map(
          ({ key }) => /\/checkpoints\/[^/]+\/(\d+-[^/]+)\//.exec(key)?.[1],
        );
        const ranges = [...new Set(folders.filter((name) => name !== undefined))];
        expect(ranges.length).toBeGreaterThan(1);
        return ranges;
      },
      { timeout: 120_000, interval: 50 },
    );
  }

  test("are continued by the machine where the command line began, and are sound", async () => {
    await appendNumbered(cluster, { topic, partition: 3, from: 100, count: 50, valueBytes });
    const ended = await machine.run(inputFor(byCommand));
    expect(ended.output).toMatchObject({ status: "done", generation: 2, record_count: 50 });
    const again = await machine.run(inputFor(byCommand));
    expect(again.output).toMatchObject({ status: "done", generation: 3, record_count: 0 });
    expect(await machine.statesOf(again.arn)).toEqual([
      "PlanBackup",
      "IsThereWork",
      "JudgeBackup",
      "FinishBackup",
    ]);
    const report = JSON.parse(await commandLine("validate", byCommand, "--deep"));
    expect(report).toMatchObject({ status: "sound" });
    expect(await collect(storage.list(inBackup(byCommand, "state/runs/")))).toEqual([]);
  }, 180_000);
});

test("F2 a partition that one worker reads in ten turns and more is as one that was read at once", async () => {
  const topic = await createTopic(cluster);
  // A turn ends with its first fetch, of 2 MiB: ten of these batches.
  const large = { from: 0, count: 1_200, perBatch: 10, valueBytes: 20_000 };
  await appendNumbered(cluster, { topic, ...large });
  const backupId = randomName("turns");
  const ended = await machine.run(inputFor(backupId, [topic]));
  expect(ended.output).toMatchObject({ status: "done", record_count: large.count });
  const children = await machine.childrenOf(ended.arn);
  expect(children.map((turns) => turns.length >= 12)).toEqual([true]);
  const engine = testEngine(cluster);
  await engine.backup([topic]);
  const atOnce = await archivedPartitions(engine, engine.backupId);
  expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(atOnce);
}, 180_000);

test("K1 records that went between two runs are the gap that the command line tells", async () => {
  const topic = await createTopic(cluster, { partitionCount: 2 });
  const append = async (from: number) => {
    for (const partition of [0, 1]) {
      await appendNumbered(cluster, { topic, partition, from, count: 50 });
    }
  };
  const [byMachine, byCommand] = [randomName("machine"), randomName("command")];
  const { endpoint, region } = aws;
  const command = () =>
    startCommand("backup", {
      ...{ mode: "backup", backup_id: byCommand },
      source: { bootstrap_servers: bootstrapServers, topics: { include: [topic] } },
      storage: { backend: "s3", bucket, endpoint, region },
    });
  await append(0);
  await resultOf(command());
  await machine.run(inputFor(byMachine, [topic]));
  await append(50);
  const admin = await KafkaAdmin.connect();
  await admin.deleteRecordsBefore(topic, 0, 70);
  await admin.disconnect();

  const told = await resultOf<BackupResult>(command(), 3);
  const { output } = await machine.run(inputFor(byMachine, [topic]));
  expect(told).toMatchObject({
    ...{ status: "done_with_gaps", record_count: 80 },
    gaps: [{ topic, partition: 0, from_offset: 50, to_offset: 70 }],
  });
  expect(output).toMatchObject({
    ...{ status: "done_with_gaps", record_count: 80 },
    gaps: { count: 1, first: [{ topic, partition: 0, from_offset: "50", to_offset: "70" }] },
  });
  const archived = await archivedPartitions({ storage, catalog }, byMachine);
  expect(Object.keys(archived)).toHaveLength(2);
  expect(archived).toEqual(await archivedPartitions({ storage, catalog }, byCommand));
}, 180_000);

describe("input", () => {
  test.each([
    [{ backup_id: "a b" }, "InvalidRequestError", /^backup_id: must be/],
    [{ topics: { include: [] } }, "InvalidRequestError", /^topics\.include: /],
    [{ topic: ["a"] }, "InvalidRequestError", /"topic"/],
    [{ turn_ms: "fast" }, "InvalidRequestError", /^turn_ms: /],
    [{}, "TopicNotFoundError", /"no-such-topic" of topics\.include/],
  ])("%j fails at once and says why", async (input, error, message) => {
    const ended = await machine.run(input);
    expect(ended).toMatchObject({ status: "FAILED", error });
    expect(ended.message).toMatch(message);
    expect(await machine.statesOf(ended.arn)).toEqual(["PlanBackup", "PlanFailed"]);
  });
});

describe("K7 a damaged partition", () => {
  test("is named in the result; the others are backed up", async () => {
    const [damaged, healthy] = [await damagedTopic(), await createTopic(cluster)];
    await appendNumbered(cluster, { topic: healthy, from: 0, count: 70 });
    const backupId = randomName("damaged");
    const ended = await machine.run(inputFor(backupId, [damaged, healthy]));
    expect(ended).toMatchObject({
      status: "SUCCEEDED",
      output: { status: "done_with_gaps", record_count: 20 + 70, failed: { count: 1 } },
    });
    const { failed } = ended.output as { failed: { first: object[] } };
    expect(failed.first).toMatchObject([
      { topic: damaged, partition: 0, error: "CorruptRecordBatchError" },
    ]);
  }, 120_000);

  test("fails the run where it is all there is, which another run may continue at once", async () => {
    const damaged = await damagedTopic(0n);
    const backupId = randomName("worthless");
    const ended = await machine.run(inputFor(backupId, [damaged]));
    expect(ended).toMatchObject({ status: "FAILED", error: "CorruptRecordBatchError" });
    expect(await machine.statesOf(ended.arn)).toEqual(
      expect.arrayContaining(["JudgeBackup", "FailBackup", "BackupFailed"]),
    );
    expect(await catalog.latestManifest(backupId)).toBeUndefined();
    const scope = { backupId, purpose: "backup" };
    const lease = await catalog.acquireLease(scope, 0, AbortSignal.timeout(10_000));
    await lease.release();
    expect(await catalog.openRun(backupId)).toBeDefined();
  }, 120_000);

  /** Five batches of ten records, of which one is damaged. */
  async function damagedTopic(baseOffset = 20n): Promise<string> {
    const name = await createTopic(cluster);
    await appendNumbered(cluster, { topic: name, from: 0, count: 50, valueBytes: 500 });
    await flipByteOnDisk(await batchOnDisk(name, baseOffset), 300);
    return name;
  }
});

describe("C5 two executions of one backup id", () => {
  let small: string;

  beforeAll(async () => {
    small = await createTopic(cluster);
    await appendNumbered(cluster, { topic: small, from: 0, count: 100 });
  });

  test("the second says that the first holds the lease, and the first is not disturbed", async () => {
    const backupId = randomName("twice");
    const gate = await gateFunction(aws, stackName, "finish-backup");
    try {
      const first = await machine.start(inputFor(backupId, [small]));
      await gate.arrived;
      const second = await whileLeaseMoves({ storage, catalog }, scopeOf(backupId), () =>
        machine.run(inputFor(backupId, [small])),
      );
      expect(second).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
      expect(second.message).toMatch(/was seen to move/);
      gate.open();
      const { output } = await machine.ended(first);
      expect(output).toMatchObject({ status: "done", generation: 1, record_count: 100 });
    } finally {
      await gate.remove();
    }
  }, 180_000);

  test.each([
    ["before its worker reads", "backup-partition"],
    ["between the last record and the manifest", "finish-backup"],
  ])(
    "an execution whose lease is taken over %s commits nothing, and says so",
    async (_, name) => {
      const backupId = randomName("robbed");
      const gate = await gateFunction(aws, stackName, name);
      try {
        const execution = await machine.start(inputFor(backupId, [small]));
        await gate.arrived;
        await takeOver(storage, scopeOf(backupId));
        gate.open();
        const ended = await machine.ended(execution);
        expect(ended).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
        expect((await machine.statesOf(ended.arn)).slice(-2)).toEqual([
          "FailBackup",
          "BackupFailed",
        ]);
        const turns = (await machine.childrenOf(ended.arn)).flat();
        const failed = turns.filter((turn) => "error" in turn);
        const ofWorker = name === "backup-partition" ? [{ error: "BackupConflictError" }] : [];
        expect(failed).toEqual(ofWorker);
        expect(await catalog.latestManifest(backupId)).toBeUndefined();
      } finally {
        await gate.remove();
      }
    },
    180_000,
  );

  function scopeOf(backupId: string): LeaseScope {
    return { backupId, purpose: "backup" };
  }
});
