/**
 * Brokers and storage that are gone, for good or for a while, between the real processes: a run
 * stops instead of trying each of its partitions, and the same command goes on afterwards.
 *
 * Each run is met in mid-work by a proxy that holds one of its requests; so nothing here depends
 * on how fast it is.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { createBucket, type TestBucket } from "#test/support/bucket.ts";
import {
  type CommandEnd,
  endCommands,
  resultOf,
  startCommand,
} from "#test/support/command-runs.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "#test/support/fault-proxy.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { type KafkaBehindProxy, startKafkaBehindProxy } from "#test/support/kafka-behind-proxy.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";

/** Four at a time, each with repetitions of 30 s: without a circuit breaker three minutes. */
const partitionCount = 24;
const records = { from: 0, count: 40, perBatch: 10, valueBytes: 100 };
const fetchKey = 1;
const produceKey = 0;

let broker: KafkaBehindProxy;
let storageProxy: FaultProxy;
let cluster: Cluster;
let folder: string;
let bucket: TestBucket;
let local: { storage: StorageBackend; catalog: Catalog };
let topic: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-gone-"));
  broker = await startKafkaBehindProxy();
  storageProxy = await startFaultProxy(Number(new URL(s3ForTests().endpoint).port));
  cluster = await connectForTests({ bootstrap_servers: [broker.kafka.bootstrapServers] });
  bucket = await createBucket();
  const storage = await openStorage(
    { backend: "filesystem", path: folder },
    { clock: systemClock },
  );
  local = { storage, catalog: openCatalog({ storage, clock: systemClock, newId: randomId }) };
  topic = await createTopic(cluster, { partitionCount });
  for (let partition = 0; partition < partitionCount; partition++) {
    await appendNumbered(cluster, { topic, partition, ...records });
  }
}, 300_000);

afterAll(async () => {
  endCommands();
  await cluster?.disconnect();
  await local?.storage.close();
  await bucket?.storage.close();
  await broker?.stop();
  await storageProxy?.stop();
  await rm(folder, { recursive: true, force: true });
});

const inFolder = () => ({ backend: "filesystem", path: folder });

function backupConfig(backupId: string, servers: string, storage: unknown) {
  return {
    ...{ mode: "backup", backup_id: backupId, storage },
    source: { bootstrap_servers: servers, topics: { include: [topic] } },
  };
}

function restoreConfig(
  backupId: string,
  servers: string,
  target: string,
  storage: unknown = inFolder(),
) {
  return {
    ...{ mode: "restore", backup_id: backupId, storage },
    target: { bootstrap_servers: servers },
    restore: { topic_mapping: { [topic]: target } },
  };
}

/** Kafka's requests begin with their size and the number of their API. */
function isRequestOf(apiKey: number): (piece: Buffer) => boolean {
  return (piece) => piece.length >= 8 && piece.readInt16BE(4) === apiKey;
}

/** Holds the `nth` request that is one of those, and all others after it. */
function holdFrom(nth: number, isOne: (piece: Buffer) => boolean): Fault {
  let seen = 0;
  return {
    kind: "hold",
    matches(piece) {
      if (!isOne(piece)) return false;
      seen += 1;
      return seen >= nth;
    },
  };
}

const untilHeld = (proxy: FaultProxy, before: number) =>
  vi.waitFor(() => expect(proxy.faults()).toBeGreaterThan(before), {
    timeout: 90_000,
    interval: 20,
  });

/** Sets `fault`, runs `start`, and resolves when one of its requests is held. */
async function heldInMidWork<Run>(proxy: FaultProxy, fault: Fault, start: () => Run): Promise<Run> {
  const before = proxy.faults();
  proxy.set(fault);
  const run = start();
  await untilHeld(proxy, before);
  return run;
}

function expectStopped({ code, stderr }: CommandEnd, service: string): void {
  expect(code, stderr).toBe(1);
  expect(stderr).toMatch(
    new RegExp(
      `CircuitOpenError: the ${service} answered nothing since \\d{4}-.*Z, for \\d+ s: ` +
        "\\d+ requests failed in a row, the last with \\w+UnavailableError: ",
    ),
  );
  expect(stderr).toContain("hint: When they answer again, run the same command");
}

/** What a run that nothing disturbs archives. */
async function undisturbed() {
  const backupId = randomName("undisturbed");
  const config = backupConfig(backupId, broker.kafka.bootstrapServers, inFolder());
  await resultOf(startCommand("backup", config));
  return { backupId, archived: await archivedPartitions(local, backupId) };
}

/** As Kafka's own consumer sees it: the records of the source, each once and in order. */
async function expectRestored(target: string): Promise<void> {
  const contents = await contentsOf([topic, target], broker.kafka);
  for (let partition = 0; partition < partitionCount; partition++) {
    const found = contents.get(`${target}/${partition}`);
    expect(found).toMatch(new RegExp(`^${records.count} records `));
    expect(found).toBe(contents.get(`${topic}/${partition}`));
  }
}

// The two of each wait for repetitions of different services: side by side.
describe("a backup", () => {
  test.concurrent("K4 C3 a broker that is gone for good stops a backup, which goes on when it is back", async () => {
    const { archived } = await undisturbed();
    const backupId = randomName("stopped");
    const config = backupConfig(backupId, broker.proxy.address, inFolder());
    const run = await heldInMidWork(broker.proxy, holdFrom(10, isRequestOf(fetchKey)), () =>
      startCommand("backup", config),
    );
    broker.proxy.set({ kind: "refuse" });
    expectStopped(await run.ended, "brokers of the source");
    expect(await local.catalog.latestManifest(backupId)).toBeUndefined();
    expect(await local.catalog.openRun(backupId)).toBeDefined();

    broker.proxy.set(undefined);
    expect(await resultOf(startCommand("backup", config))).toMatchObject({
      ...{ status: "done", resumed: true, failed: [] },
    });
    expect(await archivedPartitions(local, backupId)).toEqual(archived);
  }, 300_000);

  test.concurrent("C3 a storage that is gone for good stops a backup, which goes on when it is back", async () => {
    const { archived } = await undisturbed();
    const backupId = randomName("stopped");
    const { bootstrapServers } = broker.kafka;
    const config = backupConfig(
      backupId,
      bootstrapServers,
      bucket.location(`http://${storageProxy.address}`),
    );
    const isSegment = (piece: Buffer) =>
      /^PUT [^ ]*\/topics\//.test(piece.toString("latin1", 0, 400));
    const run = await heldInMidWork(storageProxy, holdFrom(10, isSegment), () =>
      startCommand("backup", config),
    );
    storageProxy.set({ kind: "refuse" });
    expectStopped(await run.ended, "storage");
    expect(await bucket.catalog.latestManifest(backupId)).toBeUndefined();

    storageProxy.set(undefined);
    expect(await resultOf(startCommand("backup", config))).toMatchObject({
      ...{ status: "done", resumed: true, failed: [] },
    });
    expect(await archivedPartitions(bucket, backupId)).toEqual(archived);
  }, 300_000);
});

describe("a restore", () => {
  test.concurrent("R1 a broker that is gone for good stops a restore, which goes on when it is back", async () => {
    const { backupId } = await undisturbed();
    const target = randomName("restored");
    const config = restoreConfig(backupId, broker.proxy.address, target);
    const run = await heldInMidWork(broker.proxy, holdFrom(10, isRequestOf(produceKey)), () =>
      startCommand("restore", config),
    );
    broker.proxy.set({ kind: "refuse" });
    expectStopped(await run.ended, "brokers of the target");

    broker.proxy.set(undefined);
    expect(await resultOf(startCommand("restore", config))).toMatchObject({
      ...{ status: "done", report: { resumed: true } },
    });
    await expectRestored(target);
  }, 300_000);

  test.concurrent("R1 C3 a storage that is gone for good stops a restore, which goes on when it is back", async () => {
    const backupId = randomName("stored");
    const { bootstrapServers } = broker.kafka;
    await resultOf(
      startCommand("backup", backupConfig(backupId, bootstrapServers, bucket.location())),
    );
    const target = randomName("restored");
    const storage = bucket.location(`http://${storageProxy.address}`);
    const config = restoreConfig(backupId, bootstrapServers, target, storage);
    // Four partitions at a time: with the tenth, some are restored and others are not.
    const isSegment = (piece: Buffer) =>
      /^GET [^ ]*\/topics\/[^ ]*\.zst[? ]/.test(piece.toString("latin1", 0, 400));
    const run = await heldInMidWork(storageProxy, holdFrom(10, isSegment), () =>
      startCommand("restore", config),
    );
    storageProxy.set({ kind: "refuse" });
    expectStopped(await run.ended, "storage");

    storageProxy.set(undefined);
    expect(await resultOf(startCommand("restore", config))).toMatchObject({
      ...{ status: "done", report: { resumed: true } },
    });
    await expectRestored(target);
  }, 300_000);
});

test("K4 a broker and a storage that are back before a call has given up stop nothing", async () => {
  const { archived } = await undisturbed();
  const backupId = randomName("disturbed");
  const config = backupConfig(
    backupId,
    broker.proxy.address,
    bucket.location(`http://${storageProxy.address}`),
  );
  const run = await heldInMidWork(broker.proxy, holdFrom(10, isRequestOf(fetchKey)), () =>
    startCommand("backup", config),
  );
  for (const proxy of [broker.proxy, storageProxy]) proxy.set({ kind: "refuse" });
  // A sixth of the shortest time that a call repeats itself.
  await sleep(5_000);
  for (const proxy of [broker.proxy, storageProxy]) proxy.set(undefined);
  expect(await resultOf(run)).toMatchObject({ status: "done", resumed: false, failed: [] });
  expect(await archivedPartitions(bucket, backupId)).toEqual(archived);
}, 300_000);
