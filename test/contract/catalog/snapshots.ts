/** Snapshots of offsets: found by their objects, known by what was told of them. */
import { expect, test } from "vitest";
import type { CataloguedSnapshot } from "#core/catalog/catalog.ts";
import { snapshotKey } from "#core/storage/keys.ts";
import type { Opened } from "#test/contract/catalog/opened.ts";
import { snapshotSummaryOf } from "#test/support/catalog-documents.ts";
import { collect } from "#test/support/collect.ts";

let next = 0;
/** As no other test has it; ascending. */
const newId = () => `snapshot-20260131T${120_000 + next++}Z-0a1b2c3d`;

export function snapshotContract(opened: Opened): void {
  const store = async (id: string, bytes: number) => {
    await opened().storage.put(snapshotKey(id), Buffer.alloc(bytes, "x"));
  };
  const listed = async (...ids: string[]): Promise<CataloguedSnapshot[]> => {
    const all = await collect(opened().catalog.snapshots());
    expect(all.map(({ snapshot_id }) => snapshot_id)).toEqual(
      all.map(({ snapshot_id }) => snapshot_id).sort(),
    );
    return all.filter(({ snapshot_id }) => ids.includes(snapshot_id));
  };

  test("are found in the order of their ids, whether or not they were told of", async () => {
    const { catalog, storage } = opened();
    const [first, second, third] = [newId(), newId(), newId()];
    for (const id of [third, first, second]) await store(id, 100);
    await storage.put(`snapshots/${first}.txt`, Buffer.from("mine"));
    await storage.put(`snapshots/folder/${first}.json`, Buffer.from("mine"));
    await catalog.noteSnapshot(snapshotSummaryOf(second, { bytes: 100 }));
    const found = await listed(first, second, third);
    expect(found.map(({ snapshot_id }) => snapshot_id)).toEqual([first, second, third]);
    expect(found[0]!.summary ?? found[2]!.summary).toBeUndefined();
  });

  test("C4: told of twice, are known as they were told of, or not known", async () => {
    const { catalog } = opened();
    const id = newId();
    const summary = snapshotSummaryOf(id, { safety: true, description: "日本 🙂", bytes: 7 });
    await store(id, 7);
    for (let times = 0; times < 2; times++) await catalog.noteSnapshot(summary);
    const [found] = await listed(id);
    expect([undefined, summary]).toContainEqual(found!.summary);
  });

  test("are gone with their objects, forgotten or not", async () => {
    const { catalog, storage } = opened();
    const [forgotten, left] = [newId(), newId()];
    for (const id of [forgotten, left]) {
      await store(id, 1);
      await catalog.noteSnapshot(snapshotSummaryOf(id, { bytes: 1 }));
    }
    for (let times = 0; times < 2; times++) await catalog.forgetSnapshots([forgotten]);
    expect(await listed(forgotten)).toEqual([{ snapshot_id: forgotten, summary: undefined }]);
    await storage.delete([snapshotKey(forgotten), snapshotKey(left)]);
    expect(await listed(forgotten, left)).toEqual([]);
  });
}
