import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { Catalog, Lease } from "#core/catalog/catalog.ts";
import { openCatalog, openTable } from "#core/catalog/open.ts";
import type { CatalogTable, TableLocation } from "#core/catalog/table.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { runDocumentKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";
import type { OpenedCatalog } from "#test/contract/catalog/opened.ts";
import { catalogContract } from "#test/contract/catalog.ts";
import { checkpointOf, manifestOf, runEntryOf } from "#test/support/catalog-documents.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { createTable, type TestTable } from "#test/support/dynamodb.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const ministack = await startMinistack();
const tables: CatalogTable[] = [];

afterAll(async () => {
  for (const table of tables) table.close();
  await ministack.stop();
});

const newId = () => randomBytes(8).toString("hex");

async function openOn(storage: StorageBackend, location: TableLocation): Promise<OpenedCatalog> {
  const clock = new FakeClock();
  const table = await openTable(location, { clock: systemClock });
  tables.push(table);
  return { catalog: openCatalog({ storage, clock, newId }, table), clock, storage };
}

const shared = await createTable(ministack);
const sharedName = randomUUID();
catalogContract("catalog with a table", () => openOn(openMemory(sharedName), shared.location));

describe("a catalogue with a table", () => {
  const run = { run_id: "20260131T120000Z-0a", base_generation: 0, started_at: 5n };
  const at = { backupId: "orders", runId: run.run_id, topic: "orders", partition: 0 };
  const scope = { backupId: "orders", purpose: "backup" };
  const never = new AbortController().signal;
  let created: TestTable;
  let storage: StorageBackend;
  let catalog: Catalog;

  beforeEach(async () => {
    created = await createTable(ministack);
    storage = openMemory(randomUUID());
    ({ catalog } = await openOn(storage, created.location));
  });

  const manifestBy = (token: number, generation = 1, sha: string | null = null) =>
    manifestOf({
      backup_id: "orders",
      generation,
      previous_sha256: sha,
      runs: [{ ...runEntryOf(1), lease_token: token }],
    });

  test("keeps what is asked for under the keys that answer it", async () => {
    const lease = await catalog.acquireLease(scope, 0, never);
    await catalog.writeOpenRun("orders", run);
    await catalog.appendCheckpoint(at, checkpointOf(0));
    expect(await created.keys()).toEqual([
      "backup#orders lease#backup",
      `backup#orders run#${run.run_id}`,
      `checkpoints#orders#${run.run_id}#orders 0000000000#00000000`,
    ]);
    await catalog.commitManifest(manifestBy(lease.token));
    await catalog.closeRun("orders", run.run_id);
    expect(await created.keys()).toEqual([
      "backup#orders lease#backup",
      "backup#orders manifest#00000001",
      `backup#orders run#${runEntryOf(1).run_id}`,
      "backups orders",
    ]);
  });

  test("lists without reading manifests what the table knows", async () => {
    await catalog.commitManifest(manifestBy(1));
    let reads = 0;
    const counting = withMethods(storage, {
      get: (key) => {
        reads += 1;
        return storage.get(key);
      },
    });
    const { catalog: listing } = await openOn(counting, created.location);
    const listed = await collect(listing.summaries());
    expect(listed).toEqual(await collect(catalogOn(storage).summaries()));
    expect(reads).toBe(0);
  });

  test("is not believed where the bucket is ahead of the table", async () => {
    const first = await catalog.commitManifest(manifestBy(1));
    await catalog.appendCheckpoint(at, checkpointOf(0));
    // As a process that died between the two writes, or who has no table, leaves it.
    const alone = catalogOn(storage);
    await alone.commitManifest(manifestBy(2, 2, first.sha256));
    await alone.appendCheckpoint(at, checkpointOf(1));
    expect(await collect(catalog.summaries())).toMatchObject([{ summary: { generation: 2 } }]);
    expect(await catalog.checkpoints(at)).toEqual([checkpointOf(0), checkpointOf(1)]);
    await catalog.appendCheckpoint(at, checkpointOf(2));
    const parts = [0, 1, 2].map((sequence) => checkpointOf(sequence));
    expect(await catalog.checkpoints(at)).toEqual(parts);
    expect(await alone.checkpoints(at)).toEqual(parts);
  });

  test("is not believed where the run was closed by who has no table", async () => {
    await catalog.writeOpenRun("orders", run);
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await catalogOn(storage).closeRun("orders", run.run_id);
    expect(await catalog.checkpoints(at)).toEqual([]);
  });

  test("C4: a table's answer that was lost does not stop the same work done again", async () => {
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await catalog.appendCheckpoint(at, checkpointOf(0));
    const stored = await catalog.commitManifest(manifestBy(1));
    expect(await catalog.commitManifest(manifestBy(1))).toEqual(stored);
  });

  test("C5: who lost the lease replaces nothing that the next one wrote", async () => {
    const paused = await openOn(storage, created.location);
    const living = await openOn(storage, created.location);
    await paused.catalog.acquireLease(scope, 0, never);
    const lease = await living.clock.runUntil(living.catalog.acquireLease(scope, 35_000, never));
    await living.catalog.appendCheckpoint(at, checkpointOf(0));
    await expect(paused.catalog.appendCheckpoint(at, checkpointOf(0))).rejects.toMatchObject({
      name: "BackupConflictError",
      message: expect.stringContaining("newer lease"),
    });
    await lease.release();
  });

  describe("C5: a process that was paused until another took its lease over", () => {
    const ownRun = { ...run, run_id: "20260131T120000Z-0a" };
    const nextRun = { ...run, run_id: "20260131T120100Z-0b" };
    const ofNext = { ...at, runId: nextRun.run_id };
    let table: CatalogTable;
    let paused: OpenedCatalog;
    let living: OpenedCatalog;
    let lost: Lease;

    beforeEach(async () => {
      table = await openTable(created.location, { clock: systemClock });
      tables.push(table);
      paused = await openOn(storage, created.location);
      living = await openOn(storage, created.location);
      lost = await paused.catalog.acquireLease(scope, 0, never);
    });

    const takeOver = () => living.clock.runUntil(living.catalog.acquireLease(scope, 35_000, never));

    /** All that the table says of the backup and of the next run's checkpoints. */
    async function itemsInTable() {
      const pks = ["backups", "backup#orders", `checkpoints#orders#${nextRun.run_id}#orders`];
      return (await Promise.all(pks.map((pk) => collect(table.query(pk, ""))))).flat();
    }

    test("cannot open a run again that the other has committed", async () => {
      await paused.catalog.writeOpenRun("orders", ownRun);
      const { token } = await takeOver();
      const { run: reference, ...entry } = runEntryOf(1);
      const committed = manifestOf({
        backup_id: "orders",
        runs: [
          {
            ...{ ...entry, run_id: ownRun.run_id, lease_token: token },
            run: { ...reference, key: runDocumentKey(ownRun.run_id) },
          },
        ],
      });
      await living.catalog.commitManifest(committed);
      await living.catalog.closeRun("orders", ownRun.run_id);
      const before = await itemsInTable();
      expect(before).toContainEqual(
        expect.objectContaining({ sk: `run#${ownRun.run_id}`, status: "committed" }),
      );

      await paused.catalog.writeOpenRun("orders", ownRun);
      expect(await itemsInTable()).toEqual(before);
      // What it left in the bucket is of a base that was continued: the next run closes it.
      expect(await living.catalog.openRun("orders")).toMatchObject({ base_generation: 0 });
      expect((await living.catalog.latestManifest("orders"))?.manifest).toEqual(committed);
    });

    test("commits nothing where the other has, and leaves the table as it is", async () => {
      const { token } = await takeOver();
      const stored = await living.catalog.commitManifest(manifestBy(token));
      const before = await itemsInTable();
      await expect(paused.catalog.commitManifest(manifestBy(lost.token))).rejects.toMatchObject({
        name: "BackupConflictError",
      });
      expect(await itemsInTable()).toEqual(before);
      expect(await living.catalog.latestManifest("orders")).toEqual(stored);
    });

    test("turns nothing back that the other committed on top of its own commit", async () => {
      const own = manifestBy(lost.token);
      const first = await catalogOn(storage).commitManifest(own);
      const { token } = await takeOver();
      const second = manifestOf({
        ...{ backup_id: "orders", generation: 2, previous_sha256: first.sha256 },
        runs: [own.runs[0]!, { ...runEntryOf(2), lease_token: token }],
      });
      await living.catalog.commitManifest(second);
      // It had been paused between the bucket and the table, and goes on there.
      expect(await paused.catalog.commitManifest(own)).toEqual(first);
      const summaries = await collect(table.query("backups", ""));
      expect(summaries).toMatchObject([{ sk: "orders", order: 2 }]);
      expect(await collect(living.catalog.summaries())).toMatchObject([
        { summary: { generation: 2 } },
      ]);
      expect((await catalogOn(storage).latestManifest("orders"))?.manifest).toEqual(second);
      const copy = JSON.parse((await storage.get("orders/manifest.json")).toString());
      expect(copy.generation).toBe(2);
    });

    test("closes its own run again without harm to the one that the other has open", async () => {
      await paused.catalog.writeOpenRun("orders", ownRun);
      const first = await paused.catalog.commitManifest(manifestBy(lost.token));
      await takeOver();
      await living.catalog.closeRun("orders", ownRun.run_id);
      await living.catalog.writeOpenRun("orders", { ...nextRun, base_generation: 1 });
      await living.catalog.appendCheckpoint(ofNext, checkpointOf(0));
      const before = await itemsInTable();

      await paused.catalog.closeRun("orders", ownRun.run_id);
      expect(await itemsInTable()).toEqual(before);
      expect(await living.catalog.openRun("orders")).toMatchObject({ run_id: nextRun.run_id });
      expect(await living.catalog.checkpoints(ofNext)).toEqual([checkpointOf(0)]);
      expect(await catalogOn(storage).checkpoints(ofNext)).toEqual([checkpointOf(0)]);
      expect(await living.catalog.latestManifest("orders")).toEqual(first);
    });

    test("does not tell the table that the lease is its own, nor that it is free", async () => {
      const held = await takeOver();
      await expect(lost.renew()).rejects.toMatchObject({ name: "BackupConflictError" });
      await lost.release();
      const { owner, token } = held.holder;
      expect(await leaseInTable()).toMatchObject({ owner, token, released: false });
      await held.renew();
      expect(await leaseInTable()).toMatchObject({ owner, token: held.token, released: false });
    });

    async function leaseInTable() {
      const [lease] = await collect(table.query("backup#orders", "lease#"));
      return lease!;
    }
  });

  test("a checkpoint that has no room in an item is read from the bucket", async () => {
    const segments = checkpointOf(0).segments;
    const large = { ...checkpointOf(0), segments: Array(1_000).fill(segments[0]) };
    await catalog.appendCheckpoint(at, large);
    expect(await catalog.checkpoints(at)).toEqual([large]);
  });

  test("with its table dropped, the bucket alone has all of it", async () => {
    await catalog.commitManifest(manifestBy(1));
    await catalog.writeOpenRun("orders", { ...run, base_generation: 1 });
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await created.drop();
    const alone = openCatalog({ storage, clock: new FakeClock(), newId });
    expect(await alone.latestManifest("orders")).toBeDefined();
    expect(await alone.openRun("orders")).toMatchObject({ run_id: run.run_id });
    expect(await alone.checkpoints(at)).toEqual([checkpointOf(0)]);
    await expect(catalog.appendCheckpoint(at, checkpointOf(1))).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining(created.location.table),
      hint: expect.stringContaining("pk and sk"),
    });
  });
});

describe("a table in DynamoDB", () => {
  let table: CatalogTable;
  beforeEach(async () => {
    table = await openTable((await createTable(ministack)).location, { clock: systemClock });
    tables.push(table);
  });

  test("answers all items of a key in order, however many pages they take", async () => {
    const body = "x".repeat(100_000);
    const numbers = Array.from({ length: 40 }, (_, i) => String(i).padStart(2, "0"));
    await Promise.all(numbers.map((sk) => table.put({ pk: "a", sk, body }, 1)));
    await table.put({ pk: "b", sk: "00" }, 1);
    const found = await collect(table.query("a", ""));
    expect(found.map(({ sk }) => sk)).toEqual(numbers);
    expect((await collect(table.query("a", "1"))).length).toBe(10);
  });

  test("replaces an item only by one of the same or a greater order", async () => {
    const key = { pk: "a", sk: "b" };
    expect(await table.put({ ...key, n: 1 }, 5)).toBe(true);
    expect(await table.put({ ...key, n: 2 }, 4)).toBe(false);
    expect(await table.put({ ...key, n: 3 }, 5)).toBe(true);
    expect(await table.put({ ...key, n: 4, flag: true }, 6)).toBe(true);
    expect(await collect(table.query("a", ""))).toEqual([{ ...key, n: 4, flag: true, order: 6 }]);
  });

  test("of 20 that put at once the greatest order stays", async () => {
    const key = { pk: "a", sk: "b" };
    const orders = Array.from({ length: 20 }, (_, i) => (i * 7) % 20);
    await Promise.all(orders.map((order) => table.put({ ...key, n: order }, order)));
    expect(await collect(table.query("a", ""))).toMatchObject([{ n: 19 }]);
  });

  test("deletes more than one request holds, and what is not there", async () => {
    const keys = Array.from({ length: 60 }, (_, i) => ({ pk: "a", sk: String(i) }));
    for (const key of keys.slice(0, 55)) await table.put(key, 0);
    await table.delete(keys);
    expect(await collect(table.query("a", ""))).toEqual([]);
  });
});
