/** The restore machine as `cdk deploy` makes it, in the emulator, on a real Kafka. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keepingLease, leaseWaitMs } from "#core/catalog/with-lease.ts";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { restoreScope } from "#core/restore/scope.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import { systemClock } from "#core/system.ts";
import { type AwsStage, deployAwsStage } from "#local/aws-stage.ts";
import {
  expectCompleteMap,
  expectSameRecords,
  offsetMapOf,
} from "#test/e2e/kill/restored-partitions.ts";
import { append, appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { storageIn } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { gateFunction } from "#test/support/function-faults.ts";
import { metricsOf, unitsOf } from "#test/support/function-metrics.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { invokeFunction } from "#test/support/lambda.ts";
import { takeOver, whileLeaseMoves } from "#test/support/leases.ts";
import { contentsOf, produceTraffic, recordsOf } from "#test/support/oracle.ts";
import { ownSettings } from "#test/support/restore-on-kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { batchesOf } from "#test/support/sent-batches.ts";
import { TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupRestoreTest";
const { bootstrapServers } = kafkaForTests();
let stage: AwsStage;
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let folder: string;
/** Six partitions of very different sizes. */
let large: string;
/** Aborted transactions, markers, batches of one record. */
let transactional: string;
/** More topics than are made ready in one turn. */
const small: string[] = [];
/** Of all of them. */
let engine: TestEngine;

const sizes = [0, 1, 40, 1_000, 3_000, 6_000];
const valueBytes = 200;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-restore-machine-"));
  const topics = ["no-such-topic"];
  const deploying = deployAwsStage(aws, { bootstrapServers, bucket, stackName, topics });
  cluster = await connectForTests();
  large = await createTopic(cluster, { partitionCount: sizes.length });
  for (const [partition, count] of sizes.entries()) {
    await appendNumbered(cluster, {
      topic: large,
      partition,
      from: 0,
      count,
      perBatch: 500,
      valueBytes,
    });
  }
  transactional = await createTopic(cluster);
  await produceTraffic([["transactions", transactional]]);
  for (let i = 0; i < 9; i++) {
    const topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 3 });
    small.push(topic);
  }
  stage = await deploying;
  machine = new TestStateMachine(aws, stage.stateMachines.restore!);
  storage = await storageIn(bucket);
  engine = testEngine(cluster, { storage });
  await engine.backup([large, transactional, ...small]);
}, 240_000);

afterAll(async () => {
  machine?.close();
  await storage?.close();
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

const all = () => [large, transactional, ...small];

/** New names for topics, of which none is there. */
function renamed(topics: readonly string[], prefix: string): Record<string, string> {
  return Object.fromEntries(topics.map((topic) => [topic, `${prefix}-${topic}`]));
}

function inputFor(backupId: string, mapping: Record<string, string>, more: object = {}) {
  const topics = { include: Object.keys(mapping) };
  return { backup_id: backupId, topics, topic_mapping: mapping, turn_ms: 1, ...more };
}

interface Restored {
  readonly status: string;
  readonly restore_id: string;
}

/** The command line's restore of the same request out of the same bucket, as a process. */
async function commandLine(backupId: string, topic_mapping: Record<string, string>) {
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  const config = join(folder, `${randomName("restore")}.json`);
  const include = Object.keys(topic_mapping);
  await writeFile(
    config,
    JSON.stringify({
      mode: "restore",
      backup_id: backupId,
      target: { bootstrap_servers: bootstrapServers, topics: { include } },
      storage: { backend: "s3", bucket, endpoint, region },
      restore: { topic_mapping },
    }),
  );
  const args = ["bin/kafka-backup", "restore", "--config", config, "--format", "json"];
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  };
  const run = promisify(execFile)(process.execPath, args, { env });
  // Partitions that failed are exit code 3, with the result all the same.
  const { stdout } = await run.catch((error: { code: number; stdout: string }) => {
    if (error.code !== 3) throw error;
    return error;
  });
  return JSON.parse(stdout) as { status: string; report: { restore_id: string; resumed: boolean } };
}

/** Of each partition, without names and times: what was sent, from where, to where. */
async function resultsOf(backupId: string, restoreId: string) {
  const report = await new RestoreRecord(storage, backupId, restoreId).report();
  return report!.topics.map(({ source_topic, created, record_count, partitions }) => ({
    ...{ source_topic, created, record_count },
    partitions: partitions.map(({ target_topic: _, sent: _sent, ...result }) => result),
  }));
}

describe("F2 R1 topics of very different sizes, in many turns of several workers", () => {
  let mapping: Record<string, string>;
  let restoreId: string;

  test("hold what the command line's restore of them holds, batch by batch", async () => {
    mapping = renamed(all(), "machine");
    const byCommand = renamed(all(), "command");
    const ended = await machine.run(inputFor(engine.backupId, mapping));
    const command = await commandLine(engine.backupId, byCommand);

    expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status: "done", topics: 11 } });
    restoreId = (ended.output as unknown as Restored).restore_id;
    const ours = await resultsOf(engine.backupId, restoreId);
    expect(ours).toEqual(await resultsOf(engine.backupId, command.report.restore_id));

    for (const partition of sizes.keys()) {
      const sent = await batchesOf(cluster, { topic: mapping[large]!, partition });
      const expected = await batchesOf(cluster, { topic: byCommand[large]!, partition });
      expect(sent).toEqual(expected);
    }
    const seen = await contentsOf([...all(), ...Object.values(mapping)]);
    for (const topic of all()) {
      const partitions = topic === large ? sizes.length : 1;
      for (let partition = 0; partition < partitions; partition++) {
        const restored = seen.get(`${mapping[topic]}/${partition}`);
        expect(restored).toBe(seen.get(`${topic}/${partition}`));
      }
    }

    const states = await machine.statesOf(ended.arn);
    const count = (name: string) => states.filter((state) => state === name).length;
    expect(count("CreateTopics")).toBeGreaterThan(1);
    expect(count("FinishTopics")).toBeGreaterThan(1);
    const children = await machine.childrenOf(ended.arn);
    expect(children.length).toBeGreaterThan(1);
    const turns = children.flat();
    const unfinished = turns.filter((turn) => "status" in turn && turn.status === "continue");
    expect(unfinished.length).toBeGreaterThan(10);
    expect(unfinished.some((turn) => "cursors" in turn)).toBe(true);
    expect(Math.max(...turns.map((turn) => JSON.stringify(turn).length))).toBeLessThan(1_000);
  }, 300_000);

  test("are told by metrics, how many there are and how long it took", async () => {
    const report = await new RestoreRecord(storage, engine.backupId, restoreId).report();
    const [ended] = await metricsOf(aws, stackName, "RestoreDuration");
    expect(ended).toMatchObject({
      ...{ backup_id: engine.backupId, RestoresFinished: 1, FailedRestoredPartitions: 0 },
      ...{ RecordsInTarget: Number(report!.record_count), RestoreDuration: expect.any(Number) },
    });
    expect(unitsOf(ended!)).toEqual({
      ...{ RestoresFinished: "Count", RecordsInTarget: "Count", FailedRestoredPartitions: "Count" },
      RestoreDuration: "Milliseconds",
    });
    const sumOf = (turns: readonly Record<string, unknown>[], name: string) =>
      turns.reduce((sum, turn) => sum + Number(turn[name]), 0);
    for (const [records, bytes] of [
      ["RecordsRestored", "BytesRestored"],
      ["RecordsVerified", "BytesVerified"],
    ] as const) {
      const turns = await metricsOf(aws, stackName, records);
      expect(sumOf(turns, records)).toBeGreaterThan(0);
      expect(sumOf(turns, bytes)).toBeGreaterThan(sumOf(turns, records));
      expect(unitsOf(turns[0]!)).toEqual({ [records]: "Count", [bytes]: "Bytes" });
    }
  });

  test("R3 have a whole offset map, and their own settings again", async () => {
    const source = (await recordsOf([transactional])) as Awaited<ReturnType<typeof recordsOf>>;
    const report = await new RestoreRecord(storage, engine.backupId, restoreId).report();
    const [result] = report!.topics.find((t) => t.source_topic === transactional)!.partitions;
    const recorded = { storage, backupId: engine.backupId, restoreId };
    const restored = await recordsOf([mapping[transactional]!]);
    expectSameRecords(source, restored, result!);
    expectCompleteMap(await offsetMapOf(recorded, result!), source, result!);
    expect(await ownSettings(cluster, mapping[large]!)).toEqual(await ownSettings(cluster, large));
  }, 60_000);

  test("are done already when the same is asked again", async () => {
    const again = await machine.run(inputFor(engine.backupId, mapping));
    expect(again.output).toMatchObject({ status: "already_done", restore_id: restoreId });
    expect(await machine.statesOf(again.arn)).toEqual([
      "PlanRestore",
      "IsRestoreBegun",
      "RestoreAnswered",
    ]);
    await expectFreeLease(engine.backupId);
  }, 60_000);
});

/** Nobody holds the lease of restores: it is taken at once. */
async function expectFreeLease(backupId: string): Promise<void> {
  const scope = restoreScope(backupId, cluster.clusterId);
  const lease = await engine.catalog.acquireLease(scope, 0, AbortSignal.timeout(10_000));
  await lease.release();
}

test("a dry run answers the plan and writes nothing", async () => {
  const mapping = renamed(small.slice(0, 2), "dry");
  const before = await collect(storage.list(inBackup(engine.backupId, "restores/")));
  const ended = await machine.run(inputFor(engine.backupId, mapping, { dry_run: true }));
  expect(ended.output).toMatchObject({
    ...{ status: "dry_run", would: "begin", restore_id: null, record_count: 6, partitions: 2 },
    topics: { count: 2, first: [{ exists: false, partitions: 1, record_count: 3 }, {}] },
  });
  expect(await collect(storage.list(inBackup(engine.backupId, "restores/")))).toEqual(before);
  expect(await cluster.describeTopics(Object.values(mapping))).toEqual([]);
  await expectFreeLease(engine.backupId);
});

describe("input", () => {
  test.each([
    [{ backup_id: "a b" }, "InvalidRequestError", /^backup_id: must be/],
    [{ topics: { include: [] } }, "InvalidRequestError", /^topics\.include: /],
    [{ topic: ["a"] }, "InvalidRequestError", /"topic"/],
    [{ time_window_end: 1_700_000_000 }, "InvalidRequestError", /^time_window_end: looks like sec/],
    [
      { time_window_start: "2026-01-02T00:00:00Z", time_window_end: "2026-01-01T00:00:00Z" },
      "InvalidRequestError",
      /^time_window_end: must not be before time_window_start/,
    ],
    [{ backup_id: "no-such-backup" }, "BackupNotFoundError", /"no-such-backup"/],
    [{ turn_ms: 0 }, "InvalidRequestError", /^turn_ms: /],
  ])("%j fails at once and says why", async (input, error, message) => {
    const ended = await machine.run(input);
    expect(ended).toMatchObject({ status: "FAILED", error });
    expect(ended.message).toMatch(message);
    expect(await machine.statesOf(ended.arn)).toEqual(["PlanRestore", "PlanFailed"]);
  });

  test("R4 a target that holds records is refused, and one that may not be made", async () => {
    const topics = { include: [small[0]!] };
    const onItself = { backup_id: engine.backupId, topics };
    const held = await machine.run(onItself);
    expect(held).toMatchObject({ status: "FAILED", error: "TargetNotEmptyError" });
    const missing = inputFor(engine.backupId, renamed(topics.include, "missing"));
    const ended = await machine.run({ ...missing, create_topics: false });
    expect(ended).toMatchObject({ status: "FAILED", error: "PreflightRefusedError" });
    expect(ended.message).toMatch(/create_topics is false/);
    await expectFreeLease(engine.backupId);
  }, 60_000);
});

describe("R9 a point in time", () => {
  let topic: string;
  let archived: TestEngine;
  const firstMs = Date.UTC(2026, 0, 5, 12);

  /** Batches of ten records, one each second, in two runs of a backup. */
  beforeAll(async () => {
    topic = await createTopic(cluster, { config: { "retention.ms": "-1" } });
    archived = testEngine(cluster, { storage });
    for (const run of [0, 1]) {
      for (const batch of [0, 1, 2])
        await append(cluster, { topic, partition: 0 }, tenFrom(run * 30 + batch * 10));
      await archived.backup([topic]);
    }
  });

  function tenFrom(first: number): Buffer {
    const records = numbers(first, first + 10).map((number) => ({
      timestamp: BigInt(firstMs + number * 1_000),
      key: null,
      value: Buffer.from(`value ${number}`),
      headers: [{ key: "number", value: Buffer.from(String(number)) }],
    }));
    return encodeBatch(records, { codec: "gzip" });
  }

  test.each([
    ["inside a batch", 0, 14],
    ["between two runs", 0, 29],
    ["inside a batch at both ends, over both runs", 25, 44],
  ])(
    "%s",
    async (_, first, last) => {
      const mapping = renamed([topic], `from-${first}-to-${last}`);
      const ended = await machine.run(
        inputFor(archived.backupId, mapping, {
          time_window_start: firstMs + first * 1_000,
          time_window_end: new Date(firstMs + last * 1_000).toISOString(),
        }),
      );
      const count = last - first + 1;
      expect(ended.output).toMatchObject({ status: "done", record_count: String(count) });
      const restored = await recordsOf(Object.values(mapping));
      expect(restored.map(numberOf)).toEqual(numbers(first, last + 1));
    },
    120_000,
  );
});

describe("K7 a partition whose segment is damaged", () => {
  interface Damaged {
    readonly backup: TestEngine;
    readonly mapping: Record<string, string>;
    readonly damaged: string;
    readonly healthy: string;
    repair(): Promise<void>;
  }

  async function damagedBackup(topics = 2): Promise<Damaged> {
    const names: string[] = [];
    for (let i = 0; i < topics; i++) {
      const topic = await createTopic(cluster);
      await appendNumbered(cluster, { topic, from: 0, count: 50, valueBytes });
      names.push(topic);
    }
    const backup = testEngine(cluster, { storage });
    await backup.backup(names);
    const [damaged, healthy = ""] = names;
    const segments = inBackup(backup.backupId, `topics/${damaged}/`);
    const [segment] = (await collect(storage.list(segments))).filter(
      ({ key }) => !key.endsWith(".index"),
    );
    const bytes = await storage.get(segment!.key);
    const flipped = Buffer.from(bytes);
    flipped[40]! ^= 1;
    await storage.put(segment!.key, flipped);
    const repair = () => storage.put(segment!.key, bytes);
    const mapping = renamed(names, "restored");
    return { backup, mapping, damaged: mapping[damaged!]!, healthy: mapping[healthy]!, repair };
  }

  const failedIn = (damaged: string) => ({
    count: 1,
    first: [{ topic: damaged, partition: 0, error: "CorruptSegmentError" }],
  });

  test("is named in the result; the same input restores it after repair", async () => {
    const { backup, mapping, damaged, healthy, repair } = await damagedBackup();
    const input = inputFor(backup.backupId, mapping);
    const ended = await machine.run(input);
    expect(ended).toMatchObject({
      status: "SUCCEEDED",
      output: { status: "incomplete", partitions: 1, failed: failedIn(damaged) },
    });
    expect(await ownSettings(cluster, healthy)).not.toHaveProperty("segment.ms");
    expect(await ownSettings(cluster, damaged)).toHaveProperty("segment.ms");
    await expectFreeLease(backup.backupId);

    await repair();
    const again = await machine.run(input);
    const { restore_id } = ended.output as unknown as Restored;
    expect(again.output).toMatchObject({
      ...{ status: "done", restore_id, resumed: true, partitions: 2, record_count: "100" },
      failed: { count: 0 },
    });
    expect(await ownSettings(cluster, damaged)).not.toHaveProperty("segment.ms");
    const restored = await recordsOf([damaged, healthy]);
    expect(restored.map(numberOf)).toEqual([...numbers(0, 50), ...numbers(0, 50)]);
  }, 120_000);

  test("fails the execution where it is all there is, which another may continue", async () => {
    const { backup, mapping, damaged, repair } = await damagedBackup(1);
    const input = inputFor(backup.backupId, mapping);
    const ended = await machine.run(input);
    expect(ended).toMatchObject({ status: "FAILED", error: "CorruptSegmentError" });
    const states = await machine.statesOf(ended.arn);
    expect(states.slice(-2)).toEqual(["FailRestore", "RestoreFailed"]);
    await expectFreeLease(backup.backupId);
    await repair();
    expect((await machine.run(input)).output).toMatchObject({ status: "done", resumed: true });
    expect(await recordsOf([damaged])).toHaveLength(50);
  }, 120_000);

  test("is finished by the command line where the machine began, and the other way round", async () => {
    const { backup, mapping, damaged, repair } = await damagedBackup();
    const ended = await machine.run(inputFor(backup.backupId, mapping));
    expect(ended.output).toMatchObject({ status: "incomplete" });
    await repair();
    const { restore_id } = ended.output as unknown as Restored;
    const command = await commandLine(backup.backupId, mapping);
    expect(command).toMatchObject({ status: "done", report: { restore_id, resumed: true } });
    expect((await recordsOf([damaged])).map(numberOf)).toEqual(numbers(0, 50));

    const other = await damagedBackup();
    const begun = await commandLine(other.backup.backupId, other.mapping);
    expect(begun).toMatchObject({ status: "incomplete" });
    await other.repair();
    const finished = await machine.run(inputFor(other.backup.backupId, other.mapping));
    expect(finished.output).toMatchObject({
      ...{ status: "done", resumed: true, restore_id: begun.report.restore_id },
    });
    expect((await recordsOf([other.damaged])).map(numberOf)).toEqual(numbers(0, 50));
  }, 180_000);
});

describe("the lease", () => {
  test("C5 keeps a second execution out, which says so, and the first is not disturbed", async () => {
    const mapping = renamed([large], "first");
    const gate = await gateFunction(aws, stackName, "finish-restore");
    try {
      const first = await machine.start(inputFor(engine.backupId, mapping));
      await gate.arrived;
      const scope = restoreScope(engine.backupId, cluster.clusterId);
      const second = await whileLeaseMoves(engine, scope, () =>
        machine.run(inputFor(engine.backupId, mapping)),
      );
      expect(second).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
      expect(second.message).toMatch(/was seen to move/);
      const [refused] = await metricsOf(aws, stackName, "LeaseConflicts");
      expect(refused).toMatchObject({
        ...{ backup_id: engine.backupId, LeaseConflicts: 1, LeaseHeldFor: expect.any(Number) },
      });
      gate.open();
      expect((await machine.ended(first)).output).toMatchObject({ status: "done" });
    } finally {
      await gate.remove();
    }
    const seen = await contentsOf([large, mapping[large]!]);
    expect(seen.get(`${mapping[large]}/5`)).toBe(seen.get(`${large}/5`));
  }, 240_000);

  test.each([
    ["before records are sent", "restore-partition"],
    ["between sending and comparing", "verify-partition"],
    ["before the report", "finish-restore"],
  ])(
    "C5 taken over %s ends the execution, which says so, and the same input goes on",
    async (_, name) => {
      const topic = small[0]!;
      const mapping = renamed([topic], randomName("robbed"));
      const scope = restoreScope(engine.backupId, cluster.clusterId);
      const gate = await gateFunction(aws, stackName, name);
      try {
        const execution = await machine.start(inputFor(engine.backupId, mapping));
        await gate.arrived;
        const holder = await takeOver(storage, scope);
        gate.open();
        const ended = await machine.ended(execution);
        expect(ended).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
        const states = await machine.statesOf(ended.arn);
        expect(states.slice(-2)).toEqual(["FailRestore", "RestoreFailed"]);
        // The lease is left to whoever took it.
        await (await engine.catalog.continueLease(scope, holder)).release();
      } finally {
        await gate.remove();
      }
      const again = await machine.run(inputFor(engine.backupId, mapping));
      expect(again.output).toMatchObject({ status: "done", resumed: true, record_count: "3" });
      expect((await recordsOf(Object.values(mapping))).map(numberOf)).toEqual(numbers(0, 3));
    },
    180_000,
  );

  test("of a caller is used and left to him, whether the restore is done or fails", async () => {
    const scope = restoreScope(engine.backupId, cluster.clusterId);
    const lease = await engine.catalog.acquireLease(
      scope,
      leaseWaitMs,
      AbortSignal.timeout(60_000),
    );
    const held = { lease: lease.holder };
    const mapping = renamed([small[0]!], "held");
    const done = await machine.run({ ...inputFor(engine.backupId, mapping), held });
    expect(done.output).toMatchObject({ status: "done", record_count: "3" });
    const refused = await machine.run({ backup_id: engine.backupId, held });
    expect(refused).toMatchObject({ status: "FAILED", error: "TargetNotEmptyError" });
    const anothers = await keepingLease(lease, systemClock, noDeadline, () =>
      machine.run(inputFor(engine.backupId, mapping)),
    );
    expect(anothers).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
    await lease.release();
    const afterwards = await machine.run({ ...inputFor(engine.backupId, mapping), held });
    expect(afterwards).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
  }, 180_000);
});

test("R1 C4 every event delivered twice, both at once, leaves each record once", async () => {
  const mapping = renamed([large, transactional], "twice");
  const invoke = (name: string, event: unknown) => invokeFunction(aws, stackName, name, event);
  const both = (name: string, event: unknown) =>
    Promise.all([invoke(name, event), invoke(name, event)]);
  /** Whoever finds the other at work fails or leaves it to the next turn. */
  const turns = async (name: string, event: object): Promise<Record<string, unknown>> => {
    for (let more: object = {}; ; ) {
      const answers = await both(name, { ...event, ...more });
      const done = answers.find(({ status }) => status === "done");
      if (done !== undefined) return done;
      const next = answers.find(({ status }) => status === "continue");
      for (const { errorType } of answers)
        expect([undefined, "BackupConflictError"]).toContain(errorType);
      more = pick(next ?? {}, "next_topic", "cursors");
    }
  };
  const { run } = await invoke("plan-restore", inputFor(engine.backupId, mapping));
  const created = await turns("create-topics", { run, next_topic: 0 });
  const { key } = created.items as { key: string };
  const items = JSON.parse((await storage.get(key)).toString()) as object[];
  expect(items.length).toBeGreaterThan(0);
  for (const item of items) {
    await turns("restore-partition", { run, item });
    await turns("verify-partition", { run, item, cursors: [] });
  }
  const { judgement } = await turns("finish-topics", { run, next_topic: 0 });
  const { prepared_at } = created;
  // One of the two may find the lease released; whoever asks afterwards is told the result.
  await both("finish-restore", { run, prepared_at, judgement });
  const finished = await invoke("finish-restore", { run, prepared_at, judgement });
  expect(finished).toMatchObject({ status: "done", failed: { count: 0 } });

  const { restore_id: restoreId } = finished as unknown as Restored;
  const report = await new RestoreRecord(storage, engine.backupId, restoreId).report();
  const recorded = { storage, backupId: engine.backupId, restoreId };
  for (const { source_topic, target_topic, partitions } of report!.topics) {
    const source = await recordsOf([source_topic]);
    const restored = await recordsOf([target_topic]);
    for (const result of partitions.filter(({ record_count }) => record_count > 0n)) {
      const ofPartition = (partition: number) => (one: { partition: number }) =>
        one.partition === partition;
      const from = source.filter(ofPartition(result.source_partition));
      expectSameRecords(from, restored.filter(ofPartition(result.target_partition)), result);
      expectCompleteMap(await offsetMapOf(recorded, result), from, result);
    }
  }
}, 300_000);

function pick(from: Record<string, unknown>, ...names: string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}
