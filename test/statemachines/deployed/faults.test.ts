/**
 * The backup machine in bad weather: its own Kafka, so that the broker may die, behind a proxy, and
 * the AWS emulator behind another. Whatever happens, a run that ends holds the same bytes as one of
 * the command line.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog, openTable } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { type AwsStage, deployAwsStage } from "#local/aws-stage.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { type ArchivedPartition, archivedPartitions } from "#test/support/archived-batches.ts";
import { storageIn } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import { endCommands, resultOf, startCommand } from "#test/support/command-runs.ts";
import { testEngine } from "#test/support/engine.ts";
import {
  disturb,
  type Fault,
  type FaultProxy,
  faultOf,
  startFaultProxy,
} from "#test/support/fault-proxy.ts";
import { freezeFunction, killFunction, restartFunction } from "#test/support/function-faults.ts";
import { type Fate, type Struck, startHttpFaults } from "#test/support/http-faults.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { type KafkaBehindProxy, startKafkaBehindProxy } from "#test/support/kafka-behind-proxy.ts";
import { invokeFunction } from "#test/support/lambda.ts";
import { recordsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { type Ended, TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupFaults";
/** 36 MB in batches of 200 KB: turns of one fetch of 2 MiB take many seconds in all. */
const partitionCount = 6;
const records = { from: 0, count: 300, perBatch: 10, valueBytes: 20_000 };

let broker: KafkaBehindProxy;
let proxy: FaultProxy;
/** Where that one leads: the emulator's own. */
let awsPort: number;
let stage: AwsStage;
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let catalog: Catalog;
let topic: string;
/** What the command line's run holds. */
let expected: Record<string, ArchivedPartition>;

beforeAll(async () => {
  leadTo(aws.endpoint);
  proxy = await startFaultProxy(() => awsPort);
  broker = await startKafkaBehindProxy();
  const behindProxy = { ...aws, endpoint: `http://${proxy.address}` };
  const topics = ["no-such-topic"];
  const bootstrapServers = broker.proxy.address;
  const deploying = deployAwsStage(behindProxy, { bootstrapServers, bucket, stackName, topics });
  cluster = await connectForTests({ bootstrap_servers: [broker.kafka.bootstrapServers] });
  topic = await createTopic(cluster, { partitionCount });
  for (let partition = 0; partition < partitionCount; partition++) {
    await appendNumbered(cluster, { topic, partition, ...records });
  }
  stage = await deploying;
  machine = new TestStateMachine(aws, stage.stateMachines.backup!);
  storage = await storageIn(bucket);
  catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
  expected = await byCommandLine();
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

/** What functions are connected to by now breaks: none may be at work. */
function leadTo(endpoint: string): void {
  awsPort = Number(new URL(endpoint).port);
  proxy?.set({ kind: "refuse" });
  proxy?.set(undefined);
}

async function byCommandLine(): Promise<Record<string, ArchivedPartition>> {
  const backupId = randomName("command");
  const { endpoint, region } = aws;
  const run = startCommand("backup", {
    ...{ mode: "backup", backup_id: backupId },
    source: { bootstrap_servers: broker.kafka.bootstrapServers, topics: { include: [topic] } },
    storage: { backend: "s3", bucket, endpoint, region },
  });
  await resultOf(run);
  return archivedPartitions({ storage, catalog }, backupId);
}

function inputFor(backupId: string, include: readonly string[] = [topic]) {
  return { backup_id: backupId, topics: { include }, turn_ms: 1 };
}

/** Resolves when a run has stored so many checkpoints. */
async function checkpointsOf(backupId: string, count: number): Promise<void> {
  await vi.waitFor(
    async () => {
      const found = await collect(storage.list(inBackup(backupId, "state/runs/")));
      const checkpoints = found.filter(({ key }) => key.includes("/checkpoints/"));
      expect(checkpoints.length).toBeGreaterThanOrEqual(count);
    },
    { timeout: 90_000, interval: 50 },
  );
}

/** How an outage is told that lasts longer than all repetitions, as a slow machine makes them. */
const outages = ["BrokerUnavailableError", "CircuitOpenError", "StorageUnavailableError"];

/** By that execution, or by another one with its input where the outage ended it by name. */
async function endedAfterOutage(execution: string, backupId: string): Promise<Ended> {
  const ended = await machine.ended(execution);
  if (ended.status === "SUCCEEDED") return ended;
  expect(outages, ended.message).toContain(ended.error);
  return machine.run(inputFor(backupId));
}

test("C3 workers that are killed in mid-partition are repeated, and nothing is lost or twice", async () => {
  const backupId = randomName("killed");
  const execution = await machine.start(inputFor(backupId));
  const exits = async () => {
    const turns = (await machine.childrenOf(execution)).flat();
    return turns.filter((turn) => "error" in turn && turn.error === "Runtime.ExitError").length;
  };
  // A worker may be between two turns when it is killed: nobody misses that one.
  for (let checkpoints = 1; (await exits()) === 0; checkpoints++) {
    await checkpointsOf(backupId, checkpoints);
    await killFunction(stackName, "backup-partition");
    await sleep(1_000);
  }
  const ended = await machine.ended(execution);
  expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status: "done" } });
  expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
}, 300_000);

test("C4 every event delivered twice, both at once, leaves what one delivery leaves", async () => {
  const backupId = randomName("twice");
  const invoke = (name: string, event: unknown) => invokeFunction(aws, stackName, name, event);
  const both = (name: string, event: unknown) =>
    Promise.all([invoke(name, event), invoke(name, event)]);
  const { items, ...run } = (await invoke("plan-backup", inputFor(backupId))) as {
    items: { key: string };
  };
  const work = JSON.parse((await storage.get(items.key)).toString()) as object[];
  expect(work.length).toBeGreaterThan(0);
  for (const item of work) {
    for (let status = "continue"; status === "continue"; ) {
      const answers = await both("backup-partition", { run, item });
      status = answers.some((answer) => answer.status === "done") ? "done" : "continue";
    }
  }
  const [judgement] = await both("judge-backup", { run });
  // One of the two may find the lease released; whoever asks afterwards is told the result.
  await both("finish-backup", { run, judgement });
  const finished = await invoke("finish-backup", { run, judgement });
  expect(finished).toMatchObject({ status: "done", generation: 1 });
  expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
  const manifests = await collect(storage.list(inBackup(backupId, "manifests/")));
  expect(manifests).toHaveLength(1);
}, 180_000);

test("a broker that dies and comes back costs repetitions and no record", async () => {
  const backupId = randomName("broker");
  const execution = await machine.start(inputFor(backupId));
  await checkpointsOf(backupId, 2);
  await broker.kafka.kill("SIGKILL");
  await sleep(2_000);
  await broker.kafka.restart();
  const ended = await endedAfterOutage(execution, backupId);
  expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status: "done" } });
  expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
}, 300_000);

/** Kafka's requests begin with their size and the number of their API. */
function isFetch(piece: Buffer): boolean {
  return piece.length >= 8 && piece.readInt16BE(4) === 1;
}

/** Calls `start`; resolves when the proxy holds the fetch of that number, and all after it. */
async function heldAt<T>(fetch: number, start: () => Promise<T>): Promise<T> {
  const before = broker.proxy.faults();
  let fetches = 0;
  const matches = (piece: Buffer) => isFetch(piece) && ++fetches >= fetch;
  broker.proxy.set({ kind: "hold", matches });
  const started = await start();
  await faultOf(broker.proxy, before);
  return started;
}

function startedAndHeld(backupId: string): Promise<string> {
  return heldAt(10, () => machine.start(inputFor(backupId)));
}

/** How often a task may be tried that a pause may mend: once, and five repetitions. */
const attemptsMax = 6;

async function expectStopped(execution: string, backupId: string): Promise<void> {
  const ended = await machine.ended(execution);
  expect(ended, ended.message).toMatchObject({ status: "FAILED", error: "CircuitOpenError" });
  const states = await machine.statesOf(execution);
  expect(states.slice(-3)).toEqual(["JudgeBackup", "FailBackup", "BackupFailed"]);
  for (const turns of await machine.childrenOf(execution)) {
    const errors = turns.flatMap((turn) => ("error" in turn ? [turn.error] : []));
    const waited = errors.filter((error) => error !== "Runtime.ExitError");
    expect(waited.length).toBeLessThanOrEqual(attemptsMax);
    // Nobody tries again who has found out, or was told.
    expect(waited.slice(0, -1)).not.toContain("CircuitOpenError");
  }
  expect(await catalog.latestManifest(backupId)).toBeUndefined();
  expect(await catalog.openRun(backupId)).toBeDefined();
}

test.each([
  ["workers read from", false],
  ["no worker is connected to", true],
])(
  "K4 C3 a broker that %s, and that is gone for good, stops the run, and the same input goes on",
  async (_, isCold) => {
    const backupId = randomName("gone");
    const execution = await startedAndHeld(backupId);
    broker.proxy.set({ kind: "refuse" });
    if (isCold) await killFunction(stackName, "backup-partition");
    await expectStopped(execution, backupId);

    broker.proxy.set(undefined);
    expect(await machine.run(inputFor(backupId))).toMatchObject({
      ...{ status: "SUCCEEDED" },
      output: { status: "done", resumed: true, failed: { count: 0 } },
    });
    expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
  },
  600_000,
);

test("K4 once one worker has given up on the broker, no other of the run asks it", async () => {
  const backupId = randomName("told");
  const invoke = (name: string, event: unknown) => invokeFunction(aws, stackName, name, event);
  const { items, ...run } = (await invoke("plan-backup", inputFor(backupId))) as {
    items: { key: string };
  };
  const work = JSON.parse((await storage.get(items.key)).toString()) as object[];
  expect(work.length).toBeGreaterThan(1);
  // Nor one that is not connected yet.
  await restartFunction(aws, stackName, "backup-partition");
  broker.proxy.set({ kind: "refuse" });
  const [first, ...others] = work;
  const failure = (await invoke("backup-partition", { run, item: first })) as {
    errorType: string;
  };
  expect(failure.errorType).toBe("BrokerUnavailableError");
  const told = { Error: failure.errorType, Cause: JSON.stringify(failure) };
  await invoke("fail-partition", { run, item: first, failure: told });
  const asked = broker.proxy.faults();
  for (const item of others) {
    const answer = await invoke("backup-partition", { run, item });
    expect(answer).toMatchObject({ errorType: "CircuitOpenError" });
  }
  expect(broker.proxy.faults()).toBe(asked);
  await invoke("fail-backup", { run });
}, 180_000);

/** In the middle of a run, the way to Kafka or to AWS has the fault for a while. */
async function expectUnharmed(way: FaultProxy, fault: Fault): Promise<void> {
  const backupId = randomName("disturbed");
  const execution = await startedAndHeld(backupId);
  // Without more fetches the run cannot end, nor without the storage.
  await disturb(way, fault, () => {
    if (way !== broker.proxy) broker.proxy.set(undefined);
  });
  const ended = await endedAfterOutage(execution, backupId);
  expect(ended, JSON.stringify(ended.output)).toMatchObject({
    status: "SUCCEEDED",
    output: { status: "done" },
  });
  expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
}

test.each([
  ["lost answers", { kind: "lose-answers", every: 7 }],
  ["refused connections", { kind: "refuse" }],
  ["slow answers", { kind: "slow", bytesPerSecond: 20_000 }],
  ["half-open connections", { kind: "half-open" }],
] as const)(
  "C3 C4 storage and table behind %s for a while cost repetitions and no record",
  (_, fault) => expectUnharmed(proxy, fault),
  600_000,
);

// The answer to a fetch comes in 32 pieces and more.
test.each([
  ["lost answers", { kind: "lose-answers", every: 40 }],
  ["refused connections", { kind: "refuse" }],
  ["slow answers", { kind: "slow", bytesPerSecond: 500_000 }],
  ["half-open connections", { kind: "half-open" }],
] as const)(
  "K4 brokers behind %s for a while cost repetitions and no record",
  (_, fault) => expectUnharmed(broker.proxy, fault),
  600_000,
);

/** Each first, third, fifth ... of them: what is sent again passes. */
function everyOtherToTable(): (message: Struck) => boolean {
  let count = 0;
  return ({ headers }) => /^DynamoDB_/.test(String(headers["x-amz-target"])) && ++count % 2 === 1;
}

test.each<[string, Fate]>([
  ["loses the answer to", "lost"],
  ["answers 500 to", 500],
])(
  "C4 a table that %s every other request, while the bucket answers all, holds the whole run",
  async (_, fate) => {
    const backupId = randomName("table");
    const faults = await startHttpFaults(aws.endpoint);
    const struck = faults.strike(everyOtherToTable(), fate, Number.POSITIVE_INFINITY);
    leadTo(faults.url);
    try {
      const ended = await machine.run({ ...inputFor(backupId), turn_ms: 60_000 });
      expect(ended, ended.message).toMatchObject({
        ...{ status: "SUCCEEDED" },
        output: { status: "done", resumed: false, failed: { count: 0 } },
      });
    } finally {
      leadTo(aws.endpoint);
      await faults.stop();
    }
    // The lease, the run and the manifest at least.
    expect(struck()).toBeGreaterThanOrEqual(3);
    expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
    expect(await itemsOf(backupId)).toEqual([
      ["lease#backup", undefined],
      ["manifest#00000001", undefined],
      ["run#…", "committed"],
    ]);
  },
  180_000,
);

async function itemsOf(backupId: string): Promise<unknown[][]> {
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  const keys = { access_key_id: accessKeyId, secret_access_key: secretAccessKey };
  const location = { table: stage.table, endpoint, region, ...keys };
  const table = await openTable(location, { clock: systemClock });
  const items = await collect(table.query(`backup#${backupId}`, ""));
  table.close();
  return items.map(({ sk, status }) => [sk.replace(/#\d{8}T.*/, "#…"), status]);
}

test("K1 K3 K6 topics that are cut, deleted or made anew in mid-run come out as by the command line", async () => {
  const backupId = randomName("changing");
  // Of three megabytes a fetch brings two at most.
  const large = { count: 150, perBatch: 10, valueBytes: 20_000 };
  const topics = ["shrinks", "deleted", "recreated", "steady"].map((what) => `${backupId}-${what}`);
  const [shrinks, deleted, recreated, steady] = topics as [string, string, string, string];
  const fill = async (name: string, from: number) => {
    const one = { topic: name, partitionCount: 1, replicationFactor: 1, config: {} };
    await cluster.createTopics([one]);
    await appendNumbered(cluster, { topic: name, from, ...large });
  };
  for (const name of topics) await fill(name, 0);
  const input = inputFor(backupId, [`${backupId}-*`]);
  const execution = await heldAt(2, () => machine.start(input));
  const admin = await KafkaAdmin.connect(broker.kafka.bootstrapServers);
  await admin.deleteRecordsBefore(shrinks, 0, 120);
  await admin.deleteTopic(deleted);
  await admin.deleteTopic(recreated);
  await admin.disconnect();
  await fill(recreated, 5_000);
  broker.proxy.set(undefined);

  const { output } = await machine.ended(execution);
  expect(output, JSON.stringify(output)).toMatchObject({
    ...{ status: "done_with_gaps", generation: 1, failed: { count: 2 } },
    gaps: { count: 1, first: [{ topic: shrinks, partition: 0, to_offset: "120" }] },
  });
  const { first: failed } = output.failed as { first: { topic: string; error: string }[] };
  const told = new Map(failed.map(({ topic, error }) => [topic, error]));
  expect(told.get(recreated)).toBe("TopicChangedError");
  // By a fetch; or by a checkpoint of what was read before.
  expect(told.get(deleted)).toMatch(/^Topic(NotFound|Changed)Error$/);
  const { first: gaps } = output.gaps as { first: { from_offset: string }[] };
  const gapFrom = Number(gaps[0]!.from_offset);
  expect(gapFrom).toBeLessThan(120);

  const next = await machine.run(input);
  expect(next.output).toMatchObject({
    ...{ status: "done", generation: 2 },
    ...{ failed: { count: 0 }, gaps: { count: 0 } },
  });
  const kept = [shrinks, recreated, steady];
  const targets = kept.map((name) => `${name}-restored`);
  const mapping = Object.fromEntries(kept.map((name, i) => [name, targets[i]!]));
  await testEngine(cluster, { storage, backupId }).restore(mapping);
  const seen = Map.groupBy(await recordsOf(targets, broker.kafka), ({ topic }) => topic);
  expect(targets.map((name) => seen.get(name)?.map(numberOf))).toEqual([
    [...numbers(0, gapFrom), ...numbers(120, large.count)],
    numbers(5_000, 5_000 + large.count),
    numbers(0, large.count),
  ]);
}, 300_000);

test("C5 a worker that is frozen while another run commits changes nothing when it wakes", async () => {
  const backupId = randomName("frozen");
  const invoke = (name: string, event: unknown) => invokeFunction(aws, stackName, name, event);
  const { items, ...run } = (await invoke("plan-backup", inputFor(backupId))) as {
    items: { key: string };
  };
  const [item] = JSON.parse((await storage.get(items.key)).toString()) as object[];
  const turn = () => invoke("backup-partition", { run, item });
  expect(await turn()).toMatchObject({ status: "continue" });
  // From here on there is one process of it, which is at work.
  await restartFunction(aws, stackName, "backup-partition");
  const { zombie } = await heldAt(1, async () => ({ zombie: turn() }));
  const frozen = await freezeFunction(stackName, "backup-partition");
  // The connection breaks meanwhile: the worker does not hear of it before it wakes.
  broker.proxy.set(undefined);
  try {
    const ended = await machine.run(inputFor(backupId));
    expect(ended, ended.message).toMatchObject({
      ...{ status: "SUCCEEDED" },
      output: { status: "done", resumed: true, generation: 1, failed: { count: 0 } },
    });
    const before = await lastingObjects(backupId);
    frozen.wake();
    // Its turn may be over before it looks at the lease again.
    const { errorType = "none" } = await zombie;
    expect(["BackupConflictError", "none"]).toContain(errorType);
    expect(await lastingObjects(backupId)).toEqual(expect.objectContaining(before));
  } finally {
    frozen.wake();
  }
  expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
  expect(await machine.run(inputFor(backupId))).toMatchObject({
    output: { status: "done", generation: 2, record_count: 0 },
  });
}, 300_000);

/** What manifests may name: keys and SHA-256. */
async function lastingObjects(backupId: string): Promise<Record<string, string>> {
  const found = await collect(storage.list(inBackup(backupId, "")));
  const keys = found
    .map(({ key }) => key)
    .filter((key) => !key.startsWith(inBackup(backupId, "state/")));
  const hashed = keys.map(async (key) => {
    const hash = createHash("sha256").update(await storage.get(key));
    return [key, hash.digest("hex")] as const;
  });
  return Object.fromEntries(await Promise.all(hashed));
}
