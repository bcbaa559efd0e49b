/** A schedule that fires for real: incremental runs by themselves, and a restore between two. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";
import { type AwsStage, deployAwsStage } from "#local/aws-stage.ts";
import { append, appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { emulatorCall } from "#test/support/emulator.ts";
import { metricsOf, unitsOf } from "#test/support/function-metrics.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { invokeFunction } from "#test/support/lambda.ts";
import { recordsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const { endpoint, region, accessKeyId, secretAccessKey } = aws;
const bucket = randomName("bucket");
const stackName = "KafkaBackupScheduled";
const backupId = randomName("scheduled");
const { bootstrapServers } = kafkaForTests();
let stage: AwsStage;
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let catalog: Catalog;
let folder: string;
let topic: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-schedule-"));
  cluster = await connectForTests();
  topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 30 });
  stage = await deployAwsStage(aws, {
    ...{ bootstrapServers, bucket, stackName, topics: ["no-such-topic"] },
    schedules: [
      {
        ...{ name: "minutely", expression: "rate(1 minute)", backup_id: backupId },
        topics: { include: [topic] },
      },
    ],
  });
  machine = new TestStateMachine(aws, stage.stateMachines.backup!);
  const credentials = { access_key_id: accessKeyId, secret_access_key: secretAccessKey };
  storage = await openStorage(
    { backend: "s3", bucket, prefix: "", endpoint, region, ...credentials },
    { clock: systemClock },
  );
  catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
}, 240_000);

afterAll(async () => {
  // It would go on to fire while others' tests run.
  const { Schedules = [] } = await schedules();
  for (const { Name } of Schedules) {
    await emulatorCall(aws, "scheduler", { method: "DELETE", path: `/schedules/${Name}` });
  }
  machine?.close();
  await storage?.close();
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

async function schedules(): Promise<{ Schedules?: { Name: string; Target: { Arn: string } }[] }> {
  const all = await emulatorCall(aws, "scheduler", { method: "GET", path: "/schedules" });
  const { Schedules } = all as { Schedules: { Name: string; Target: { Arn: string } }[] };
  const ours = stage?.stateMachines.backup;
  return { Schedules: Schedules.filter(({ Target }) => Target.Arn === ours) };
}

/** Waits for the schedule, which the emulator looks at every ten seconds, and for its run. */
async function archived(count: number): Promise<void> {
  const look = async () => {
    const newest = await catalog.latestManifest(backupId);
    const records = newest?.manifest.runs.map(({ totals }) => totals.record_count) ?? [];
    expect(records.reduce((sum, each) => sum + each, 0)).toBe(count);
  };
  await vi.waitFor(look, { timeout: 300_000, interval: 1_000 });
}

describe("a schedule that fires", () => {
  /** Of the batch that comes between two runs: a second from record to record. */
  const timesFrom = Date.now();

  test("makes incremental runs of its backup, one after the other", async () => {
    await archived(30);
    const batch = numbers(30, 40).map((number, i) => ({
      timestamp: BigInt(timesFrom + 600_000 + i * 1_000),
      key: Buffer.from(`key ${number}`),
      value: Buffer.from(`record ${number} `),
      headers: [{ key: "number", value: Buffer.from(String(number)) }],
    }));
    await append(cluster, { topic, partition: 0 }, encodeBatch(batch, { codec: "none" }));
    await archived(40);

    const all = await Promise.all((await machine.executions()).map((arn) => machine.ended(arn)));
    // A stage tries the machine out when it is deployed.
    const ended = all.filter(({ input }) => input.backup_id === backupId);
    expect(ended.length).toBeGreaterThanOrEqual(2);
    const input = {
      ...{ backup_id: backupId, topics: { include: [topic], exclude: [] } },
      if_running: "skip",
    };
    for (const execution of ended) expect(execution).toMatchObject({ status: "SUCCEEDED", input });
    const runs = ended.filter(({ output }) => output.status !== "skipped");
    const counts = runs.map(({ output }) => output.record_count);
    expect(counts.filter((count) => count !== 0).toSorted()).toEqual([10, 30]);
  }, 620_000);

  test("lets a point inside a batch between two runs be restored", async () => {
    const target = randomName("restored");
    const config = join(folder, "restore.json");
    await writeFile(
      config,
      JSON.stringify({
        ...{ mode: "restore", backup_id: backupId },
        target: { bootstrap_servers: bootstrapServers },
        storage: { backend: "s3", bucket, endpoint, region },
        restore: {
          time_window_end: timesFrom + 600_000 + 4_000,
          topic_mapping: { [topic]: target },
        },
      }),
    );
    await promisify(execFile)(
      process.execPath,
      ["bin/kafka-backup", "restore", "--config", config, "--format", "json"],
      {
        env: {
          ...process.env,
          AWS_ACCESS_KEY_ID: accessKeyId,
          AWS_SECRET_ACCESS_KEY: secretAccessKey,
        },
      },
    );
    const restored = (await recordsOf([target])).map(numberOf);
    expect(restored).toEqual(numbers(0, 35));
  }, 120_000);

  test("leaves its metrics in the functions' logs, of the deployment and of the backup", async () => {
    const [written] = await metricsOf(aws, stackName, "GoodRuns");
    expect(written).toMatchObject({
      ...{ service: "KafkaBackupScheduled-KafkaBackup", backup_id: backupId },
      ...{ RunsCommitted: 1, GoodRuns: 1, RecordsCommitted: 30, Gaps: 0, FailedPartitions: 0 },
      ...{ BatchBytes: expect.any(Number), CompressionRatio: expect.any(Number) },
      ...{ RunDuration: expect.any(Number), Throughput: expect.any(Number) },
      _aws: {
        CloudWatchMetrics: [
          {
            Namespace: "KafkaBackup",
            Dimensions: [["service"], ["service", "backup_id"]],
          },
        ],
      },
    });
    const [read] = await metricsOf(aws, stackName, "RecordsArchived");
    expect(read).toMatchObject({ RecordsArchived: 30, BytesArchived: expect.any(Number) });
  });

  test("K1 measures gaps of a run, by the alarm's name, and none where there are none", async () => {
    const own = randomName("gaps");
    const overtaken = await createTopic(cluster);
    await appendNumbered(cluster, { topic: overtaken, from: 0, count: 20 });
    const input = { backup_id: own, topics: { include: [overtaken] } };
    expect(await machine.run(input)).toMatchObject({ status: "SUCCEEDED" });
    await appendNumbered(cluster, { topic: overtaken, from: 20, count: 20, perBatch: 10 });
    const admin = await KafkaAdmin.connect();
    await admin.deleteRecordsBefore(overtaken, 0, 30).finally(() => admin.disconnect());
    const ended = await machine.run(input);
    const output = { status: "done_with_gaps", gaps: { count: 1 }, record_count: 10 };
    expect(ended).toMatchObject({ status: "SUCCEEDED", output });

    const ofBackup = (await metricsOf(aws, stackName, "Gaps")).filter(
      ({ backup_id }) => backup_id === own,
    );
    const last = ofBackup.at(-1)!;
    expect(ofBackup[0]).toMatchObject({ Gaps: 0, GoodRuns: 1, RecordsCommitted: 20 });
    expect(last).toMatchObject({ Gaps: 1, GoodRuns: 1, RecordsCommitted: 10 });
    expect(unitsOf(last)).toMatchObject({ Gaps: "Count", RunDuration: "Milliseconds" });
  }, 300_000);

  test("measures a run that is given up", async () => {
    const own = randomName("given-up");
    const input = { backup_id: own, topics: { include: [topic] } };
    const run = await invokeFunction(aws, stackName, "plan-backup", input);
    await invokeFunction(aws, stackName, "fail-backup", { run });
    const ofBackup = (await metricsOf(aws, stackName, "RunsFailed")).filter(
      ({ backup_id }) => backup_id === own,
    );
    expect(ofBackup).toMatchObject([{ RunsFailed: 1 }]);
    expect(unitsOf(ofBackup[0]!)).toEqual({ RunsFailed: "Count" });
  }, 120_000);

  test("is passed over while another run is under way, which measures for how long", async () => {
    const scope = { backupId, purpose: "backup" };
    const lease = await vi.waitFor(
      () => catalog.acquireLease(scope, 0, AbortSignal.timeout(10_000)),
      { timeout: 120_000, interval: 500 },
    );
    const renewing = setInterval(() => lease.renew().catch(() => {}), 1_000);
    try {
      const input = { backup_id: backupId, topics: { include: [topic] } };
      const skipped = await machine.run({ ...input, if_running: "skip" });
      expect(skipped).toMatchObject({ status: "SUCCEEDED", output: { status: "skipped" } });
      const failed = await machine.run(input);
      expect(failed).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
    } finally {
      clearInterval(renewing);
      await lease.release();
    }
    const conflicts = await metricsOf(aws, stackName, "LeaseConflicts");
    expect(conflicts.length).toBeGreaterThanOrEqual(2);
    expect(conflicts[0]).toMatchObject({
      ...{ backup_id: backupId, LeaseConflicts: 1, LeaseHeldFor: expect.any(Number) },
    });
    expect(await metricsOf(aws, stackName, "Errors")).toContainEqual(
      expect.objectContaining({ error: "BackupConflictError", Errors: 1 }),
    );
  }, 300_000);
});
