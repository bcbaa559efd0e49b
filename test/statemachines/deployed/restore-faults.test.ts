/**
 * The restore machine in bad weather: a Kafka of its own behind a proxy, so that workers can be
 * held in the middle of a partition, and the AWS emulator behind another. Whatever happens there,
 * a restore that ends holds each record once, in the same batches as one of the command line.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { deployAwsStage } from "#local/aws-stage.ts";
import { offsetMapOf } from "#test/e2e/kill/restored-partitions.ts";
import { appendNumbered } from "#test/support/append.ts";
import { storageIn } from "#test/support/bucket.ts";
import { endCommands, resultOf, startCommand } from "#test/support/command-runs.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import {
  disturb,
  type Fault,
  type FaultProxy,
  faultOf,
  startFaultProxy,
} from "#test/support/fault-proxy.ts";
import { killFunction } from "#test/support/function-faults.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { type KafkaBehindProxy, startKafkaBehindProxy } from "#test/support/kafka-behind-proxy.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { ownSettings } from "#test/support/restore-on-kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { batchesOf, type SentBatch } from "#test/support/sent-batches.ts";
import { type Ended, TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupRestoreFaults";
/** 18 MB in batches of 200 KB. */
const partitionCount = 3;
const records = { from: 0, count: 300, perBatch: 10, valueBytes: 20_000 };
/** A third of what a restore sends. */
const heldAfterBytes = 6_000_000;

let broker: KafkaBehindProxy;
let proxy: FaultProxy;
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let engine: TestEngine;
let topic: string;
/** What the command line's restore has sent, by partition. */
let expected: SentBatch[][];

beforeAll(async () => {
  proxy = await startFaultProxy(Number(new URL(aws.endpoint).port));
  broker = await startKafkaBehindProxy();
  const behindProxy = { ...aws, endpoint: `http://${proxy.address}` };
  const deploying = deployAwsStage(behindProxy, {
    ...{ bootstrapServers: broker.proxy.address, bucket, stackName },
    topics: ["no-such-topic"],
  });
  cluster = await connectForTests({ bootstrap_servers: [broker.kafka.bootstrapServers] });
  topic = await createTopic(cluster, { partitionCount });
  for (let partition = 0; partition < partitionCount; partition++) {
    await appendNumbered(cluster, { topic, partition, ...records });
  }
  const { stateMachines } = await deploying;
  machine = new TestStateMachine(aws, stateMachines.restore!);
  storage = await storageIn(bucket);
  engine = testEngine(cluster, { storage });
  await engine.backup([topic]);
  expected = await sentTo(await byCommandLine());
}, 300_000);

afterEach(() => {
  proxy.set(undefined);
  broker.proxy.set(undefined);
});

afterAll(async () => {
  endCommands();
  machine?.close();
  await storage?.close();
  await cluster?.disconnect();
  await broker?.stop();
  await proxy?.stop();
});

/** Restores by a process of the command line, and returns the name of the target topic. */
async function byCommandLine(): Promise<string> {
  const target = randomName("by-command");
  const { endpoint, region } = aws;
  const run = startCommand("restore", {
    ...{ mode: "restore", backup_id: engine.backupId },
    target: { bootstrap_servers: broker.kafka.bootstrapServers, topics: { include: [topic] } },
    storage: { backend: "s3", bucket, endpoint, region },
    restore: { topic_mapping: { [topic]: target } },
  });
  await resultOf(run);
  return target;
}

function sentTo(target: string): Promise<SentBatch[][]> {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition);
  return Promise.all(
    partitions.map((partition) => batchesOf(cluster, { topic: target, partition })),
  );
}

function inputFor(target: string) {
  return {
    ...{ backup_id: engine.backupId, topics: { include: [topic] } },
    ...{ topic_mapping: { [topic]: target }, turn_ms: 1 },
  };
}

/**
 * Starts a restore into `target`; resolves when the proxy holds a worker's request of the second
 * third, and all that it sends after it. No worker of it can end before the proxy heals.
 */
async function startedAndHeld(target: string): Promise<string> {
  let bytes = 0;
  const before = broker.proxy.faults();
  const matches = (piece: Buffer) => {
    bytes += piece.length;
    return bytes > heldAfterBytes;
  };
  broker.proxy.set({ kind: "hold", matches });
  const execution = await machine.start(inputFor(target));
  await faultOf(broker.proxy, before);
  return execution;
}

/** How an outage is told that lasts longer than all repetitions, as a slow machine makes them. */
const outages = ["BrokerUnavailableError", "CircuitOpenError", "StorageUnavailableError"];

/** By that execution, or by another one with its input where the outage ended it by name. */
async function endedAfterOutage(execution: string, target: string): Promise<Ended> {
  const ended = await machine.ended(execution);
  if (ended.output.status === "done") return ended;
  const { first = [] } = (ended.output.failed ?? {}) as { first?: { error: string }[] };
  for (const error of ended.error === undefined ? first.map(({ error }) => error) : [ended.error]) {
    expect(outages, ended.message).toContain(error);
  }
  return machine.run(inputFor(target));
}

/** Each record once, in the command line's batches, under a whole offset map. */
async function expectRestored(execution: string, target: string): Promise<void> {
  const ended = await endedAfterOutage(execution, target);
  expect(ended, `${ended.error} ${JSON.stringify(ended.output)}`).toMatchObject({
    ...{ status: "SUCCEEDED" },
    output: { status: "done", failed: { count: 0 }, record_count: String(3 * records.count) },
  });
  expect(await sentTo(target)).toEqual(expected);
  const seen = await contentsOf([topic, target], broker.kafka);
  const restoreId = String(ended.output.restore_id);
  const report = await new RestoreRecord(storage, engine.backupId, restoreId).report();
  const results = report!.topics.flatMap(({ partitions }) => partitions);
  expect(results).toHaveLength(partitionCount);
  for (const result of results) {
    const at = result.target_partition;
    expect(seen.get(`${target}/${at}`)).toBe(seen.get(`${topic}/${at}`));
    const map = await offsetMapOf({ storage, backupId: engine.backupId, restoreId }, result);
    const whole = { sourceOffset: 0n, targetOffset: 0n, count: BigInt(records.count) };
    expect(map).toEqual([whole]);
  }
  expect(await ownSettings(cluster, target)).toEqual(await ownSettings(cluster, topic));
}

test("R1 workers that are killed in mid-partition are repeated, and no record is lost or twice", async () => {
  const target = randomName("killed");
  const execution = await startedAndHeld(target);
  await killFunction(stackName, "restore-partition");
  broker.proxy.set(undefined);
  await expectRestored(execution, target);
  const turns = (await machine.childrenOf(execution)).flat();
  expect(turns).toContainEqual({ error: "Runtime.ExitError" });
}, 300_000);

test("R1 a broker that dies in mid-partition and comes back costs repetitions and no record", async () => {
  const target = randomName("broker");
  const execution = await startedAndHeld(target);
  await broker.kafka.kill("SIGKILL");
  broker.proxy.set(undefined);
  await sleep(2_000);
  await broker.kafka.restart();
  await expectRestored(execution, target);
}, 300_000);

/** How often a task may be tried that a pause may mend: once, and five repetitions. */
const attemptsMax = 6;

test("R1 a broker that is gone for good stops a restore, and the same input goes on", async () => {
  const target = randomName("gone");
  const execution = await startedAndHeld(target);
  broker.proxy.set({ kind: "refuse" });
  const ended = await machine.ended(execution);
  expect(ended, ended.message).toMatchObject({ status: "FAILED", error: "CircuitOpenError" });
  const states = await machine.statesOf(execution);
  expect(states.slice(-3)).toEqual(["FinishTopics", "FailRestore", "RestoreFailed"]);
  for (const turns of await machine.childrenOf(execution)) {
    const errors = turns.flatMap((turn) => ("error" in turn ? [turn.error] : []));
    expect(errors.length).toBeLessThanOrEqual(attemptsMax);
    // Nobody tries again who has found out, or was told.
    expect(errors.slice(0, -1)).not.toContain("CircuitOpenError");
  }
  broker.proxy.set(undefined);
  await expectRestored(execution, target);
}, 600_000);

/** In the middle of a restore, the way to Kafka or to AWS has the fault for a while. */
async function expectUnharmed(way: FaultProxy, fault: Fault): Promise<void> {
  const target = randomName("disturbed");
  const execution = await startedAndHeld(target);
  // Two thirds are still to be sent: neither without Kafka nor without the storage.
  await disturb(way, fault, () => {
    if (way !== broker.proxy) broker.proxy.set(undefined);
  });
  await expectRestored(execution, target);
}

test.each([
  ["lost answers", { kind: "lose-answers", every: 7 }],
  ["refused connections", { kind: "refuse" }],
  ["slow answers", { kind: "slow", bytesPerSecond: 20_000 }],
  ["half-open connections", { kind: "half-open" }],
] as const)(
  "R1 storage and table behind %s for a while cost repetitions and no record",
  (_, fault) => expectUnharmed(proxy, fault),
  600_000,
);

// The answer to a produce request is 60 bytes long.
test.each([
  ["lost answers", { kind: "lose-answers", every: 5 }],
  ["refused connections", { kind: "refuse" }],
  ["slow answers", { kind: "slow", bytesPerSecond: 200 }],
  ["half-open connections", { kind: "half-open" }],
] as const)(
  "R1 brokers behind %s for a while cost repetitions and no record",
  (_, fault) => expectUnharmed(broker.proxy, fault),
  600_000,
);
