/** What a table knows of manifests, snapshots and restores, and when it is not believed. */
import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { TopicState } from "#core/catalog/manifest.ts";
import { openCatalog, openTable } from "#core/catalog/open.ts";
import type { CatalogTable } from "#core/catalog/table.ts";
import { describeBackup } from "#core/describe/describe.ts";
import { describeRestores } from "#core/describe/restores.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { summaryOfBegun, summaryOfFinished } from "#core/restore/restore-summary.ts";
import { deadlineAt } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { snapshotKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";
import {
  lineageOf,
  manifestOf,
  runEntriesOf,
  snapshotSummaryOf,
} from "#test/support/catalog-documents.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { createTable, type TestTable } from "#test/support/dynamodb.ts";
import { intentOf, reportOf } from "#test/support/restore-requests.ts";

const ministack = await startMinistack();
const tables: CatalogTable[] = [];
afterAll(async () => {
  for (const table of tables) table.close();
  await ministack.stop();
});

const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);
const backupId = "orders";
let created: TestTable;
/** Counts the documents that are read of it. */
let storage: StorageBackend;
let reads: string[];
let catalog: Catalog;
/** On the same bucket, without the table. */
let alone: Catalog;

beforeEach(async () => {
  created = await createTable(ministack);
  const table = await openTable(created.location, { clock: systemClock });
  tables.push(table);
  const bucket = openMemory(randomUUID());
  storage = withMethods(bucket, {
    get: (key) => {
      reads.push(key);
      return bucket.get(key);
    },
  });
  const newId = () => randomBytes(8).toString("hex");
  catalog = openCatalog({ storage, clock: systemClock, newId }, table);
  alone = catalogOn(bucket);
  reads = [];
});

function topicOf(partitions: number, config: TopicState["config"] = {}): TopicState {
  const gap = { from_offset: 3n, to_offset: 5n, reason: "retention" as const };
  const gaps = [{ ...gap, run_id: "run-00001", detected_at: 7n }];
  return {
    ...{ name: "orders", partition_count: partitions, replication_factor: 1, config },
    partitions: Array.from({ length: partitions }, (_, partition) => ({
      partition,
      lineages: [lineageOf({ gaps })],
    })),
  };
}

async function commit(through: Catalog, generation: number, topic: TopicState, runs = generation) {
  const before = generation === 1 ? undefined : await alone.latestManifest(backupId);
  const previous_sha256 = before?.sha256 ?? null;
  const rest = { topics: [topic], runs: runEntriesOf(1, runs) };
  return through.commitManifest(
    manifestOf({ backup_id: backupId, generation, previous_sha256, ...rest }),
  );
}

const described = (by: Catalog, request: { generation?: number; runs_max?: number } = {}) =>
  describeBackup({ catalog: by }, { backup_id: backupId, runs_max: 10, ...request }, deadline);

describe("a description out of a table", () => {
  test("is the bucket's, of each generation, and no manifest is read", async () => {
    await commit(catalog, 1, topicOf(3));
    await commit(catalog, 2, topicOf(200), 30);
    reads = [];
    const newest = await described(catalog);
    const older = await described(catalog, { generation: 1 });
    expect(reads).toEqual([]);
    expect(newest).toEqual(await described(alone));
    expect(older).toEqual(await described(alone, { generation: 1 }));
    const ranges = newest.topics[0]!.partitions[199]!.lineages[0]!.restorable;
    expect(ranges).toEqual([
      { from_offset: 0n, to_offset: 3n },
      { from_offset: 5n, to_offset: 10n },
    ]);
  });

  test("is read from the bucket where the bucket is ahead, or more runs are asked for", async () => {
    await commit(catalog, 1, topicOf(1), 30);
    expect(await described(catalog, { runs_max: 11 })).toEqual(
      await described(alone, { runs_max: 11 }),
    );
    await commit(alone, 2, topicOf(2), 31);
    expect(await described(catalog)).toEqual(await described(alone));
    expect(await described(catalog)).toMatchObject({ generation: 2 });
  });

  test("is read from the bucket where its item has no room for it", async () => {
    const noise = Array.from({ length: 300 }, () => [
      randomBytes(8).toString("hex"),
      randomBytes(1_000).toString("hex"),
    ]);
    await commit(catalog, 1, topicOf(1, Object.fromEntries(noise)));
    reads = [];
    expect(await described(catalog)).toEqual(await described(alone));
    expect(reads).toContain("orders/manifests/00000001.json");
  });

  test("is not of a backup whose manifest is gone from the bucket", async () => {
    await commit(catalog, 1, topicOf(1));
    await storage.delete(["orders/manifests/00000001.json", "orders/manifest.json"]);
    await expect(described(catalog)).rejects.toMatchObject({ name: "BackupNotFoundError" });
  });
});

describe("snapshots in a table", () => {
  const id = "snapshot-20260131T120000Z-0a1b2c3d";

  test("are known as they were told of, under the key that finds them", async () => {
    const summary = snapshotSummaryOf(id, { bytes: 3, safety: true });
    await storage.put(snapshotKey(id), Buffer.from("abc"));
    await catalog.noteSnapshot(summary);
    expect(await created.keys()).toEqual([`snapshots ${id}`]);
    expect(await collect(catalog.snapshots())).toEqual([{ snapshot_id: id, summary }]);
    expect(reads).toEqual([]);
    await catalog.forgetSnapshots([id]);
    expect(await created.keys()).toEqual([]);
  });

  test("are not believed where the object is another one", async () => {
    await storage.put(snapshotKey(id), Buffer.from("abcd"));
    await catalog.noteSnapshot(snapshotSummaryOf(id, { bytes: 3 }));
    expect(await collect(catalog.snapshots())).toEqual([{ snapshot_id: id, summary: undefined }]);
  });
});

describe("restores in a table", () => {
  const restoresBy = (by: Catalog) =>
    describeRestores({ storage, catalog: by }, backupId, 10, deadline);

  async function begin(second: number) {
    const restore_id = `20260131T1200${String(second).padStart(2, "0")}Z-00000001`;
    const intent = intentOf({ backup_id: backupId, restore_id, window: { end: 9n } });
    const record = new RestoreRecord(storage, backupId, restore_id);
    await record.writeIntent(intent);
    return { intent, record };
  }

  test("are described as the bucket has them, and nothing is read of those it knows", async () => {
    const [one, other] = [await begin(0), await begin(1)];
    await catalog.noteRestore(backupId, summaryOfBegun(one.intent));
    const report = { ...reportOf(other.intent), record_count: 2n ** 60n };
    await other.record.writeReport(report);
    await catalog.noteRestore(backupId, summaryOfFinished(other.intent, report));
    expect(await created.keys()).toEqual([
      "backup#orders restore#20260131T120000Z-00000001",
      "backup#orders restore#20260131T120001Z-00000001",
    ]);
    reads = [];
    const known = await restoresBy(catalog);
    expect(reads).toEqual([]);
    expect(known).toEqual(await restoresBy(alone));
    expect(known).toMatchObject([
      { status: "begun", window_end: 9n, partition_count: 1 },
      { status: "finished", record_count: 2n ** 60n },
    ]);
  });

  test("that ended or began without the table are described as the bucket has them", async () => {
    const [one, other] = [await begin(0), await begin(1)];
    await catalog.noteRestore(backupId, summaryOfBegun(one.intent));
    await one.record.writeReport(reportOf(one.intent));
    await other.record.writeAbandoned({ abandoned_at: 8n });
    expect(await restoresBy(catalog)).toMatchObject([
      { status: "finished" },
      { status: "abandoned", ended_at: 8n },
    ]);
  });

  test("of which one is damaged are all described", async () => {
    const [one] = [await begin(0), await begin(1)];
    await storage.put(`orders/restores/${one!.intent.restore_id}/intent.json`, Buffer.from("{"));
    expect(await restoresBy(catalog)).toMatchObject([
      { status: "unreadable", error: "CorruptManifestError" },
      { status: "begun" },
    ]);
  });
});

test("a table answers the newest items of a key, however many pages they take", async () => {
  const table = tables.at(-1)!;
  const body = "x".repeat(100_000);
  const numbers = Array.from({ length: 40 }, (_, i) => String(i).padStart(2, "0"));
  await Promise.all(numbers.map((sk) => table.put({ pk: "a", sk, body }, 1)));
  const newest = async (prefix: string, max: number) =>
    (await table.newest("a", prefix, max)).map(({ sk }) => sk);
  expect(await newest("", 25)).toEqual(numbers.slice(-25));
  expect(await newest("1", 2)).toEqual(["18", "19"]);
  expect(await newest("", 100)).toEqual(numbers);
  expect(await newest("", 0)).toEqual([]);
  expect(await newest("9", 3)).toEqual([]);
});
