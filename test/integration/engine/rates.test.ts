/** How fast a run may be: by its own limit, and by a quota of the cluster (K5). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { beginBackup } from "#core/backup/steps/begin.ts";
import { commitBackup } from "#core/backup/steps/commit.ts";
import { workItemRequest } from "#core/backup/steps/contract.ts";
import { judgeBackup } from "#core/backup/steps/judge.ts";
import { backupWorkItem } from "#core/backup/steps/work-item.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { toJson } from "#core/json.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { beginDistributedRestore } from "#core/restore/steps/begin.ts";
import { restoreItemRequest } from "#core/restore/steps/contract.ts";
import { prepareRestore } from "#core/restore/steps/prepare.ts";
import { restoreWorkItem, verifyWorkItem } from "#core/restore/steps/work-item.ts";
import type { LogFields, Logger } from "#core/runtime.ts";
import { silentLogger } from "#core/runtime.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { noDeadline, segmentSettings, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster?.disconnect());

const partitionCount = 2;
const concurrent = 2;
const whole = Number.MAX_SAFE_INTEGER;
const valueBytes = 10_000;
const perBatch = 5;
/** Of a batch: five values, and some 50 bytes around each. */
const batchBytesMax = perBatch * (valueBytes + 100);

/** A topic of so many batches in each of its partitions. */
async function filledTopic(batches: readonly number[]): Promise<string> {
  const topic = await createTopic(cluster, { partitionCount: batches.length });
  for (const [partition, count] of batches.entries()) {
    await appendNumbered(cluster, {
      ...{ topic, partition, from: 0, count: count * perBatch, perBatch, valueBytes },
    });
  }
  return topic;
}

interface Moved {
  readonly atMs: number;
  readonly bytes: number;
}

/** What is fetched is counted when it is there, what is produced when it leaves. */
function counting(moved: Moved[]): Cluster {
  return wrappedCluster(cluster, {
    async fetch(request) {
      const fetched = await cluster.fetch(request);
      moved.push({ atMs: systemClock.monotonicMs(), bytes: fetched.records.length });
      return fetched;
    },
    produce(request) {
      moved.push({ atMs: systemClock.monotonicMs(), bytes: request.batch.length });
      return cluster.produce(request);
    },
  });
}

/**
 * The fastest that any span from the first byte on may have been. A machine that is slow is only
 * slower. `late`: bytes that were allowed before and came after: one fetch of each
 * partition that is read at the same time.
 */
function expectNeverFaster(moved: readonly Moved[], bytesPerSecond: number): void {
  const late = concurrent * batchBytesMax;
  const startMs = moved[0]!.atMs;
  let bytes = 0;
  for (const { atMs, bytes: more } of moved) {
    bytes += more;
    const allowed = bytesPerSecond * (1 + (atMs - startMs) / 1_000) + late;
    expect(bytes).toBeLessThanOrEqual(allowed);
  }
}

test("K5 a backup and a restore with a limit are never faster, and bring all", async () => {
  const topic = await filledTopic([15, 15]);
  const max_bytes_per_second = 500_000;
  const moved: Moved[] = [];
  const engine = testEngine(counting(moved));
  const result = await engine.backup([topic], {}, undefined, { max_bytes_per_second });
  expect(result.record_count).toBe(partitionCount * 15 * perBatch);
  // Else the limit had nothing to do.
  expect(result.batch_bytes).toBeGreaterThan(2 * max_bytes_per_second);
  expectNeverFaster(moved, max_bytes_per_second);

  moved.length = 0;
  const restored = await engine.restore(
    { [topic]: randomName("restored") },
    {},
    { max_bytes_per_second },
  );
  expect(restored).toMatchObject({ status: "done", failed: [] });
  const bytes = moved.reduce((sum, one) => sum + one.bytes, 0);
  // Sent once and read back once.
  expect(bytes).toBeGreaterThanOrEqual(2 * result.batch_bytes);
  expectNeverFaster(moved, max_bytes_per_second);
});

/** What each worker is handed, as a state machine hands it on. */
async function handedOn<Request>(
  { storage }: Pick<RestoreDeps, "storage">,
  run: object,
  itemsKey: string,
  schema: { parse(value: unknown): Request },
): Promise<Request[]> {
  const items: object[] = JSON.parse((await storage.get(itemsKey)).toString());
  return items.map((item) => schema.parse(JSON.parse(toJson({ run, item }))));
}

test("K5 each worker of a run in steps has its share of the limit, and is never faster", async () => {
  // Two items of work: the first has both large partitions.
  const topic = await filledTopic([6, 6, 1, 1, 1, 1]);
  const max_bytes_per_second = 600_000;
  const workers = 3;
  const moved: Moved[] = [];
  const storage = openMemory();
  const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
  const ids = { clock: systemClock, logger: silentLogger, newId: randomId };
  const deps: RestoreDeps = { storage, catalog, cluster: counting(moved), ...ids };
  const paced = async (share: number, turn: () => Promise<{ status: string; bytes: number }>) => {
    moved.length = 0;
    const { status, bytes } = await turn();
    expect(status).toBe("done");
    expectNeverFaster(moved, share);
    return bytes;
  };

  const ofItems = max_bytes_per_second / 2;
  const backup = await beginBackup(
    deps,
    {
      backup_id: randomName("backup"),
      topics: { include: [topic], exclude: [] },
      segments: segmentSettings,
      max_concurrent_partitions: concurrent,
      max_bytes_per_second,
    },
    workers,
    noDeadline,
  );
  expect(backup.max_bytes_per_second).toBe(ofItems);
  const read: number[] = [];
  for (const one of await handedOn(deps, backup, backup.items.key, workItemRequest)) {
    read.push(await paced(ofItems, () => backupWorkItem(deps, one, whole, noDeadline)));
  }
  expect(read).toHaveLength(2);
  // Else the limit had nothing to do.
  expect(read[0]).toBeGreaterThan(2 * ofItems);
  await commitBackup(deps, backup, await judgeBackup(deps, backup, noDeadline), noDeadline);

  const ofPartitions = max_bytes_per_second / workers;
  const begun = await beginDistributedRestore(
    deps,
    requestOf({ backup_id: backup.backup_id, topic_mapping: { [topic]: randomName("restored") } }),
    {
      start_new: false,
      settings: {
        checkpoint_interval_ms: 5_000,
        max_concurrent_partitions: concurrent,
        max_bytes_per_second,
      },
      workers,
    },
    noDeadline,
  );
  if (begun.status !== "begun") throw new Error(begun.status);
  const { run } = begun;
  expect(run.max_bytes_per_second).toBe(ofPartitions);
  const { items } = await prepareRestore(deps, { run, next_topic: 0 }, workers, whole, noDeadline);
  const [first] = await handedOn(deps, run, items.key, restoreItemRequest);
  const sent = await paced(ofPartitions, () => restoreWorkItem(deps, first!, whole, noDeadline));
  expect(sent).toBeGreaterThan(2 * ofPartitions);
  await paced(ofPartitions, () =>
    verifyWorkItem(deps, { ...first!, cursors: [] }, whole, noDeadline),
  );
  const readBack = moved.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(readBack).toBeGreaterThan(2 * ofPartitions);
});

interface Warning {
  readonly message: string;
  readonly fields: LogFields | undefined;
}

test("K5 a quota of the cluster slows a backup and a restore down, and fails nothing", async () => {
  const topic = await filledTopic([10, 10]);
  const clientId = randomName("limited");
  const kafka = kafkaForTests();
  const quota = "consumer_byte_rate=75000,producer_byte_rate=75000";
  const { code, stderr } = await kafka.tool("kafka.admin.ConfigCommand", [
    ...["--bootstrap-server", kafka.bootstrapServers, "--alter", "--add-config", quota],
    ...["--entity-type", "clients", "--entity-name", clientId],
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });

  const warnings: Warning[] = [];
  const debugged: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    debug: (message) => debugged.push(message),
    warn: (message, fields) => warnings.push({ message, fields }),
  };
  const limited = await connectForTests({ client_id: clientId }, { logger });
  const engine = testEngine(limited);
  const result = await engine.backup([topic]);
  expect(result).toMatchObject({ status: "done", record_count: partitionCount * 10 * perBatch });
  const restored = await engine.restore({ [topic]: randomName("restored") });
  expect(restored).toMatchObject({ status: "done", failed: [] });
  await limited.disconnect();

  const inRestore = restored.report.throttled_ms ?? 0;
  expect(result.throttled_ms + inRestore).toBe(Math.round(limited.throttledMs()));
  expect(inRestore).toBeGreaterThan(0);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]!.message).toMatch(/^broker .* throttles this client by a quota/);
  // No answer was given up, and nothing was asked for twice.
  expect(debugged.filter((message) => message === "a request is repeated")).toEqual([]);
});
