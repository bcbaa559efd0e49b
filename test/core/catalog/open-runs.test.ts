import { expect, test } from "vitest";
import { inBackup, openRunKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { backupId, checkpointOf } from "#test/support/catalog-documents.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";

const run = { run_id: "run-a", base_generation: 0, started_at: 5n };
const at = { backupId, runId: run.run_id, topic: "orders", partition: 0 };

test("a close that dies at any delete leaves a run that can be closed again", async () => {
  for (let survived = 0; survived < 2; survived++) {
    const storage = openMemory();
    await catalogOn(storage).writeOpenRun(backupId, run);
    for (const part of [0, 1]) await catalogOn(storage).appendCheckpoint(at, checkpointOf(part));
    let deletes = 0;
    const dying = withMethods(storage, {
      delete: (keys) =>
        deletes++ < survived ? storage.delete(keys) : Promise.reject(new Error("killed")),
    });
    await expect(catalogOn(dying).closeRun(backupId, run.run_id)).rejects.toThrow("killed");
    expect(await catalogOn(storage).openRun(backupId)).toEqual(run);
    await catalogOn(storage).closeRun(backupId, run.run_id);
    expect(await collect(storage.list(""))).toEqual([]);
  }
});

test("more state than one delete takes is removed all the same", async () => {
  const storage = openMemory();
  const deleted: number[] = [];
  const counting = withMethods(storage, {
    delete: (keys) => {
      deleted.push(keys.length);
      return storage.delete(keys);
    },
  });
  await catalogOn(storage).writeOpenRun(backupId, run);
  for (let part = 0; part < 2_500; part++) {
    await catalogOn(storage).appendCheckpoint(at, checkpointOf(part));
  }
  await catalogOn(counting).closeRun(backupId, run.run_id);
  expect(deleted).toEqual([1000, 1000, 500, 1]);
  expect(await collect(storage.list(""))).toEqual([]);
});

test("C5: what a paused worker wrote after its run was closed goes with the next close", async () => {
  const storage = openMemory();
  const catalog = catalogOn(storage);
  await catalog.writeOpenRun(backupId, run);
  await catalog.closeRun(backupId, run.run_id);
  await catalog.appendCheckpoint(at, checkpointOf(7));
  expect(await catalog.openRun(backupId)).toBeUndefined();

  const next = { run_id: "run-b", base_generation: 1, started_at: 6n };
  await catalog.writeOpenRun(backupId, next);
  expect(await catalog.openRun(backupId)).toEqual(next);
  await catalog.closeRun(backupId, next.run_id);
  expect(await collect(storage.list(""))).toEqual([]);
});

test("closing a run leaves another one on the same base as it is", async () => {
  const storage = openMemory();
  const catalog = catalogOn(storage);
  const twin = { ...run, run_id: "run-b" };
  await catalog.writeOpenRun(backupId, run);
  await catalog.writeOpenRun(backupId, twin);
  expect(await catalog.openRun(backupId)).toEqual(twin);
  await catalog.closeRun(backupId, twin.run_id);
  expect(await catalog.openRun(backupId)).toEqual(run);
});

test("a marker that is not its folder's is corrupt", async () => {
  const storage = openMemory();
  await storage.put(
    inBackup(backupId, openRunKey("run-b")),
    Buffer.from(JSON.stringify({ ...run, started_at: 5 })),
  );
  await expect(catalogOn(storage).openRun(backupId)).rejects.toMatchObject({
    name: "CorruptManifestError",
    message: expect.stringContaining("state/runs/run-b/run.json: run_id"),
  });
});

test("S2: a checkpoint that names another partition's segment is corrupt", async () => {
  const catalog = catalogOn(openMemory());
  await catalog.appendCheckpoint({ ...at, partition: 1 }, checkpointOf(0));
  await expect(catalog.checkpoints({ ...at, partition: 1 })).rejects.toMatchObject({
    name: "CorruptManifestError",
    message: expect.stringContaining("is no segment of orders-1"),
  });
});
