import { describe, expect, test } from "vitest";
import { findRestore } from "#core/offsets/restored-partitions.ts";
import { byOffsetMap } from "#core/offsets/strategies/offset-map.ts";
import { inBackup, restorePartitionFolder } from "#core/storage/keys.ts";
import { backupId, topicId } from "#test/support/catalog-documents.ts";
import { collect } from "#test/support/collect.ts";
import {
  type KnownBackup,
  type KnownRestore,
  knownBackup,
  noDeadline,
  run,
  storeRestore,
} from "#test/support/known-groups.ts";
import { targetClusterId } from "#test/support/restore-requests.ts";

const oneRecord: KnownRestore["partitions"] = [{ map: [[run(0, 0, 1)]] }];

/** A target whose topics have these ids. */
function clusterWith(ids: Readonly<Record<string, string>>, clusterId = targetClusterId) {
  const rest = { internal: false, authorizedOperations: undefined, partitions: [] };
  return {
    clusterId,
    describeTopics: async (names: readonly string[] = Object.keys(ids)) =>
      names.flatMap((name) => {
        const topicId = ids[name];
        return topicId === undefined ? [] : [{ name, topicId, ...rest }];
      }),
  };
}

/** Ids begin with the second of the start: what comes after says nothing. */
const older = "20260101T000000Z-b";
const newer = "20260101T000000Z-a";

async function twoRestores(): Promise<KnownBackup> {
  const backup = await knownBackup([{ groups: {} }]);
  const common = { targetTopic: "restored", partitions: oneRecord };
  await storeRestore(backup, { ...common, restoreId: older, targetTopicId: "old", finishedAt: 1n });
  await storeRestore(backup, { ...common, restoreId: newer, targetTopicId: "new", finishedAt: 2n });
  return backup;
}

describe("which restore is meant", () => {
  test("the newest finished one whose topics are still there", async () => {
    const backup = await twoRestores();
    const idWith = async (topicId: string) => {
      const cluster = clusterWith({ restored: topicId });
      return (await findRestore({ ...backup, cluster }, backupId)).report.restore_id;
    };
    expect(await idWith("new")).toBe(newer);
    expect(await idWith("old")).toBe(older);
    await expect(idWith("another")).rejects.toMatchObject({
      name: "BackupNotFoundError",
      message: expect.stringContaining("no finished restore into cluster"),
    });
  });

  test("without a cluster the newest finished one", async () => {
    const backup = await twoRestores();
    const unfinished = { restoreId: "20260101T000000Z-c", isUnfinished: true };
    await storeRestore(backup, { ...unfinished, partitions: oneRecord });
    expect((await findRestore(backup, backupId)).report.restore_id).toBe(newer);
  });

  test("one into another cluster does not count, and is refused by name", async () => {
    const backup = await twoRestores();
    const deps = { ...backup, cluster: clusterWith({ restored: "new" }, "another-cluster") };
    await expect(findRestore(deps, backupId)).rejects.toMatchObject({
      name: "BackupNotFoundError",
    });
    await expect(findRestore(deps, backupId, newer)).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining(targetClusterId),
    });
  });

  test("a named one must be finished, exist, and have its topics", async () => {
    const backup = await twoRestores();
    await storeRestore(backup, { restoreId: "open", isUnfinished: true, partitions: oneRecord });
    const cluster = clusterWith({ restored: "new" });
    const find = (id: string) => findRestore({ ...backup, cluster }, backupId, id);
    await expect(find("open")).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining("not finished"),
    });
    await expect(find("none")).rejects.toMatchObject({ name: "BackupNotFoundError" });
    await expect(find(older)).rejects.toMatchObject({ name: "TopicChangedError" });
    expect((await find(newer)).partitions).toMatchObject([
      { source_topic_id: topicId, target_topic_id: "new", target_topic: "restored" },
    ]);
  });
});

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
