import { describe, expect, test } from "vitest";
import { findRestore } from "#core/offsets/choose-restore.ts";
import { byOffsetMap } from "#core/offsets/strategies/offset-map.ts";
import { inBackup, restorePartitionFolder } from "#core/storage/keys.ts";
import { backupId } from "#test/support/catalog-documents.ts";
import { collect } from "#test/support/collect.ts";
import { knownBackup, noDeadline, run, storeRestore } from "#test/support/known-groups.ts";

describe("R3: a map that is damaged or not whole is refused", () => {
  const folder = inBackup(
    backupId,
    restorePartitionFolder("20260131T120000Z-00000001", "restored", 0),
  );

  async function threeParts() {
    const backup = await knownBackup([{ groups: {} }]);
    const map = [[run(0, 0, 5)], [run(5, 5, 5)], [run(20, 10, 5)]];
    await storeRestore(backup, { partitions: [{ map }] });
    const keys = (await collect(backup.storage.list(folder))).map(({ key }) => key);
    const translate = async (offset: bigint) => {
      const { partitions } = await findRestore(backup, backupId);
      const at = { group: "g", source_topic: "orders", source_partition: 0, offset };
      const position = { ...at, metadata: "", read_at: 0n, from: "current" };
      const deps = { ...backup, backup_id: backupId, deadline: noDeadline };
      return (await byOffsetMap(deps, [position], partitions))[0]?.target_offset;
    };
    return { ...backup, keys, translate };
  }

  test("a flipped bit of a part", async () => {
    const { storage, keys, translate } = await threeParts();
    const key = keys.find((name) => name.includes("map-00000001"))!;
    const body = await storage.get(key);
    body[0]! ^= 1;
    await storage.put(key, body);
    expect(await translate(4n)).toBe(4n);
    await expect(translate(7n)).rejects.toMatchObject({
      name: "CorruptManifestError",
      message: expect.stringContaining("SHA-256"),
    });
  });

  test("a part that is not there", async () => {
    const { storage, keys, translate } = await threeParts();
    await storage.delete(keys.filter((key) => key.includes("map-00000002")));
    await expect(translate(20n)).rejects.toMatchObject({
      name: "CorruptManifestError",
      message: expect.stringContaining("is missing"),
    });
  });

  test.each(["checkpoint-00000000", "checkpoint-00000001", "checkpoint-00000002"])(
    "without %s",
    async (name) => {
      const { storage, keys, translate } = await threeParts();
      await storage.delete(keys.filter((key) => key.includes(name)));
      await expect(translate(25n)).rejects.toMatchObject({ name: "CorruptManifestError" });
    },
  );

  test("parts that overlap", async () => {
    const backup = await knownBackup([{ groups: {} }]);
    await storeRestore(backup, { partitions: [{ map: [[run(5, 0, 5)], [run(9, 5, 5)]] }] });
    const { partitions } = await findRestore(backup, backupId);
    await expect(partitions[0]!.runs()).rejects.toMatchObject({
      name: "CorruptManifestError",
      message: expect.stringContaining("goes back at source offset 9"),
    });
  });

  test("a part that no checkpoint names does not count", async () => {
    const { storage, translate } = await threeParts();
    await storage.put(`${folder}map-00000001-of-a-dead-worker.bin`, Buffer.from([9, 9, 9]));
    expect(await translate(22n)).toBe(12n);
  });

  test("a map is read no further than its last position", async () => {
    const backup = await threeParts();
    const read: string[] = [];
    const storage = new Proxy(backup.storage, {
      get: (target, name) => {
        const value = target[name as keyof typeof target];
        if (typeof value !== "function") return value;
        return (...args: never[]) => {
          if (name === "getRange") read.push(String(args[0]));
          return Reflect.apply(value, target, args);
        };
      },
    });
    const { partitions } = await findRestore({ ...backup, storage }, backupId);
    const at = { group: "g", source_topic: "orders", source_partition: 0 };
    const positions = [4n, 9n, 2n].map((offset) => ({
      ...{ ...at, offset, metadata: "", read_at: 0n, from: "current" },
    }));
    const deps = { ...backup, backup_id: backupId, deadline: noDeadline };
    await byOffsetMap(deps, positions, partitions);
    expect(read.filter((key) => key.endsWith(".bin"))).toHaveLength(2);
  });
});

test("R3: a position before the archive or in a gap says so, and one beyond it as well", async () => {
  const gap = { from_offset: 15n, to_offset: 20n, reason: "retention", run_id: "r" } as const;
  const gaps = [{ ...gap, detected_at: 0n }];
  const backup = await knownBackup(
    [{ groups: {} }],
    [[{ start_offset: 10n, next_offset: 30n, gaps }]],
  );
  const partitions = [
    { startOffset: 100n, sourceEndOffset: 30n, map: [[run(10, 100, 5), run(20, 105, 3)]] },
  ];
  await storeRestore(backup, { partitions, window: { end: 1n } });
  const found = await findRestore(backup, backupId);
  const at = { group: "g", source_topic: "orders", source_partition: 0 };
  const positions = [3n, 12n, 17n, 25n, 30n, 31n].map((offset) => ({
    ...{ ...at, offset, metadata: "", read_at: 0n, from: "current" },
  }));
  const deps = { ...backup, backup_id: backupId, deadline: noDeadline };
  const translated = await byOffsetMap(deps, positions, found.partitions);
  expect(
    translated.map(({ target_offset, reason, note }) => [target_offset, reason, note]),
  ).toEqual([
    [100n, "next-restored", "the backup begins at offset 10"],
    [102n, "exact", undefined],
    [105n, "next-restored", "offsets [15, 20) were deleted before they were backed up"],
    [108n, "restored-end", "no record from there on is in the window"],
    [108n, "restored-end", undefined],
    [108n, "beyond-archive", "the backup ends at offset 30"],
  ]);
});
