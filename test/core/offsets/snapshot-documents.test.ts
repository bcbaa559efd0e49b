/** Stored snapshots: what is believed, what is refused, and what is read for ever. */
import { expect, test } from "vitest";
import { toPrettyJson } from "#core/json.ts";
import { listedSnapshots } from "#core/offsets/list-snapshots.ts";
import { deleteSnapshot, listSnapshotIds, readSnapshot } from "#core/offsets/snapshot.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { openMemory } from "#core/storage/memory.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";

const golden = "snapshot-20261121T071652Z-bb22fc2b";

test("I3: version 1: a snapshot of a real cluster is read, whatever its groups are called", async () => {
  const storage = await openFilesystem("test/fixtures/v1");
  const snapshot = await readSnapshot(storage, golden);
  expect(snapshot).toMatchObject({
    snapshot_id: golden,
    description: "Before the incident",
    all_groups: true,
    groups_complete: true,
    unread_groups: [{ group: "sharing" }],
  });
  expect(Object.keys(snapshot.topics)).toEqual(["orders", "payments-eu"]);
  const groups = Object.entries(snapshot.consumer_groups);
  expect(groups.map(([group, { type, state }]) => `${group}: ${type} ${state}`)).toEqual([
    "__proto__: classic Empty",
    "billing: classic Empty",
    "of teams/a, b: classic Empty",
    "reporting: consumer Empty",
  ]);
  expect(Object.entries(snapshot.consumer_groups.billing!.partitions)).toEqual([
    ["orders-0", { offset: 17n, metadata: "a note", leader_epoch: 0 }],
    ["orders-2", { offset: 2n ** 60n, metadata: "" }],
    ["payments-eu-0", { offset: 0n, metadata: "日本 🙂" }],
  ]);
  const stored = await storage.get(`snapshots/${golden}.json`);
  expect(toPrettyJson(snapshot)).toBe(stored.toString());
});

async function stored(id: string, changes: object) {
  const storage = openMemory();
  const document = {
    snapshot_id: id,
    description: "",
    created_at: "2025-01-15T10:30:00Z",
    consumer_groups: { billing: { partitions: { "orders-0": { offset: 1, metadata: "" } } } },
    format_version: 1,
    cluster_id: "cluster",
    all_groups: false,
    topics: {},
    unread_groups: [],
    ...changes,
  };
  await storage.put(`snapshots/${id}.json`, Buffer.from(JSON.stringify(document)));
  return storage;
}

const positions = (partitions: object) => ({ consumer_groups: { billing: { partitions } } });

test.each([
  ["another id", { snapshot_id: "b" }, /snapshot_id: is "b", but its place says "a"/],
  ["an absent field", { cluster_id: undefined }, /cluster_id: /],
  ["a time that is none", { created_at: "yesterday" }, /created_at: /],
  ["groups that are a list", { consumer_groups: [] }, /consumer_groups: must be an object/],
  [
    "a partition without a number",
    positions({ orders: { offset: 1, metadata: "" } }),
    /partitions\.orders: /,
  ],
  [
    "a topic that Kafka would not take",
    positions({ "../x-0": { offset: 1, metadata: "" } }),
    /partitions\.\.\.\/x-0: topic name/,
  ],
  ["an offset below 0", positions({ "orders-0": { offset: -1, metadata: "" } }), /below 0/],
  [
    "a fraction for an offset",
    positions({ "orders-0": { offset: 1.5, metadata: "" } }),
    /consumer_groups\.billing\.partitions\.orders-0\.offset: /,
  ],
])("a snapshot with %s is refused as damaged", async (_what, changes, message) => {
  const storage = await stored("a", changes);
  await expect(readSnapshot(storage, "a")).rejects.toMatchObject({
    name: "CorruptManifestError",
    message: expect.stringMatching(message),
  });
});

test.each(["2025-01-15T10:29:59.999Z", "2025-01-15T10:30:01Z"])(
  "a snapshot whose id begins with another second than %s is refused as damaged",
  async (created_at) => {
    const id = "snapshot-20250115T103000Z-0a1b2c3d";
    const right = await stored(id, { created_at: "2025-01-15T10:30:00.999Z" });
    expect(await readSnapshot(right, id)).toMatchObject({ snapshot_id: id });
    await expect(readSnapshot(await stored(id, { created_at }), id)).rejects.toMatchObject({
      name: "CorruptManifestError",
      message: expect.stringContaining("its id says another second"),
    });
  },
);

test("I3: a snapshot of a newer format is refused by name, one with unknown fields is read", async () => {
  const newer = await stored("a", { format_version: 2 });
  await expect(readSnapshot(newer, "a")).rejects.toMatchObject({
    name: "UnsupportedFormatVersionError",
  });
  const extended = await stored("a", { later: { added: true } });
  expect(await readSnapshot(extended, "a")).toMatchObject({ snapshot_id: "a" });
});

test("an id that is no key's part reaches nothing, and an absent one is not found", async () => {
  const storage = await stored("a", {});
  for (const act of [readSnapshot, deleteSnapshot]) {
    await expect(act(storage, "../a")).rejects.toMatchObject({ name: "InvalidRequestError" });
    await expect(act(storage, "b")).rejects.toMatchObject({
      name: "SnapshotNotFoundError",
      details: { snapshot_id: "b" },
    });
  }
});

test("snapshots are listed in the order of time, and what else lies there is passed over", async () => {
  const storage = await stored("snapshot-20250115T103000Z-ffffffff", {});
  const later = "snapshot-20250115T103001Z-00000000";
  const body = (await storage.get("snapshots/snapshot-20250115T103000Z-ffffffff.json")).toString();
  const laterBody = body
    .replace("snapshot-20250115T103000Z-ffffffff", later)
    .replace("10:30:00Z", "10:30:01.999Z");
  await storage.put(`snapshots/${later}.json`, Buffer.from(laterBody));
  await storage.put("snapshots/notes.txt", Buffer.from("mine"));
  await storage.put("snapshots/folder/a.json", Buffer.from("mine"));
  const ids = ["snapshot-20250115T103000Z-ffffffff", later];
  expect(await collect(listSnapshotIds(storage))).toEqual(ids);
  const read = await collect(listedSnapshots({ storage, catalog: catalogOn(storage) }));
  expect(read.map(({ snapshot_id }) => snapshot_id)).toEqual(ids);
  await deleteSnapshot(storage, later);
  expect(await collect(listSnapshotIds(storage))).toEqual(ids.slice(0, 1));
});
