/**
 * The backup machine in bad weather: its own Kafka, so that the broker may die, behind a proxy, and
 * the AWS emulator behind another. Whatever happens, a run that ends holds the same bytes as one of
 * the command line.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { deployAwsStage } from "#local/aws-stage.ts";
import { appendNumbered } from "#test/support/append.ts";
import { type ArchivedPartition, archivedPartitions } from "#test/support/archived-batches.ts";
import { storageIn } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import { endCommands, resultOf, startCommand } from "#test/support/command-runs.ts";
import { type FaultProxy, startFaultProxy } from "#test/support/fault-proxy.ts";
import { killFunction, restartFunction } from "#test/support/function-faults.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { type KafkaBehindProxy, startKafkaBehindProxy } from "#test/support/kafka-behind-proxy.ts";
import { invokeFunction } from "#test/support/lambda.ts";
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
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let catalog: Catalog;
let topic: string;
/** What the command line's run holds. */
let expected: Record<string, ArchivedPartition>;

beforeAll(async () => {
  proxy = await startFaultProxy(Number(new URL(aws.endpoint).port));
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
  const { stateMachines } = await deploying;
  machine = new TestStateMachine(aws, stateMachines.backup!);
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

function inputFor(backupId: string) {
  return { backup_id: backupId, topics: { include: [topic] }, turn_ms: 1 };
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

/** Starts a run; resolves when the proxy holds its tenth fetch, and all that come after it. */
async function startedAndHeld(backupId: string): Promise<string> {
  const before = broker.proxy.faults();
  let fetches = 0;
  const matches = (piece: Buffer) => isFetch(piece) && ++fetches >= 10;
  broker.proxy.set({ kind: "hold", matches });
  const execution = await machine.start(inputFor(backupId));
  await vi.waitFor(() => expect(broker.proxy.faults()).toBeGreaterThan(before), {
    ...{ timeout: 120_000, interval: 20 },
  });
  return execution;
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

test.each([
  ["lost answers", { kind: "lose-answers", every: 7 }],
  ["refused connections", { kind: "refuse" }],
  ["slow answers", { kind: "slow", bytesPerSecond: 20_000 }],
  ["half-open connections", { kind: "silent" }],
] as const)(
  "C3 C4 storage and table behind %s for a while cost repetitions and no record",
  async (_, fault) => {
    const backupId = randomName("storage");
    const execution = await machine.start(inputFor(backupId));
    await checkpointsOf(backupId, 1);
    const before = proxy.faults();
    proxy.set(fault);
    await sleep(6_000);
    proxy.set(undefined);
    expect(proxy.faults()).toBeGreaterThan(before);
    const ended = await endedAfterOutage(execution, backupId);
    expect(ended, JSON.stringify(ended.output)).toMatchObject({
      status: "SUCCEEDED",
      output: { status: "done" },
    });
    expect(await archivedPartitions({ storage, catalog }, backupId)).toEqual(expected);
  },
  300_000,
);
