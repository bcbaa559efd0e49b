import { posix } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkpointKey,
  checkpointsFolder,
  parseCheckpointsFolder,
} from "#core/storage/checkpoint-keys.ts";
import {
  checkBackupId,
  checkRelativeKey,
  checkTopicName,
  compareKeys,
  inBackup,
  indexKey,
  indexKeyOf,
  leaseFolder,
  leaseKey,
  manifestKey,
  parseLeaseKey,
  parseManifestKey,
  parseSegmentKey,
  restorePartitionFolder,
  runListKey,
  runPageKey,
  segmentExtensions,
  segmentKey,
} from "#core/storage/keys.ts";

const topicName = fc
  .stringMatching(/^[A-Za-z0-9._-]{1,249}$/)
  .filter((name) => name !== "." && name !== "..");
const segmentName = fc.record({
  topic: topicName,
  partition: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  baseOffset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  attempt: fc.stringMatching(/^[0-9a-f]{16}$/),
});

describe("segment keys", () => {
  test("have the documented form", () => {
    const name = { topic: "orders", partition: 7, baseOffset: 42n, attempt: "0123456789abcdef" };
    expect(segmentKey(name, "zst")).toBe(
      "topics/orders/partition=7/segment-00000000000000000042-0123456789abcdef.zst",
    );
    expect(indexKey(name)).toBe(
      "topics/orders/partition=7/segment-00000000000000000042-0123456789abcdef.index",
    );
  });

  test("are read back into what they were made of", () => {
    fc.assert(
      fc.property(segmentName, fc.constantFrom(...segmentExtensions), (name, extension) => {
        const key = segmentKey(name, extension);
        expect(parseSegmentKey(key)).toEqual({ ...name, extension });
        expect(parseSegmentKey(indexKeyOf(key))).toEqual({ ...name, extension: "index" });
        expect(checkRelativeKey(key)).toBe(key);
      }),
    );
  });

  test("of one partition sort by base offset", () => {
    fc.assert(
      fc.property(segmentName, fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (name, other) => {
        fc.pre(name.baseOffset !== other);
        const order = compareKeys(
          segmentKey(name, "zst"),
          segmentKey({ ...name, baseOffset: other }, "zst"),
        );
        expect(order < 0).toBe(name.baseOffset < other);
      }),
    );
  });

  test.each([
    "topics/orders/partition=7/segment-42-0123456789abcdef.zst",
    "topics/orders/partition=07/segment-00000000000000000042-0123456789abcdef.zst",
    "topics/orders/partition=-1/segment-00000000000000000042-0123456789abcdef.zst",
    "topics/orders/partition=2147483648/segment-00000000000000000042-0123456789abcdef.zst",
    "topics/orders/partition=7/segment-99999999999999999999-0123456789abcdef.zst",
    "topics/orders/partition=7/segment-00000000000000000042-0123456789abcdef.exe",
    "topics/orders/partition=7/segment-00000000000000000042.zst",
    "topics/../partition=7/segment-00000000000000000042-0123456789abcdef.zst",
    "topics/a/b/partition=7/segment-00000000000000000042-0123456789abcdef.zst",
    "x/topics/orders/partition=7/segment-00000000000000000042-0123456789abcdef.zst",
  ])("are told from %s", (key) => {
    expect(parseSegmentKey(key)).toBeUndefined();
    expect(() => indexKeyOf(key)).toThrow(
      expect.objectContaining({ name: "CorruptManifestError" }),
    );
  });

  test("never hold what is no offset, partition or attempt", () => {
    const name = { topic: "orders", partition: 7, baseOffset: 42n, attempt: "0123456789abcdef" };
    const refused = expect.objectContaining({ name: "InvalidRequestError" });
    expect(() => segmentKey({ ...name, baseOffset: -1n }, "zst")).toThrow(refused);
    expect(() => segmentKey({ ...name, baseOffset: 2n ** 63n }, "zst")).toThrow(refused);
    expect(() => segmentKey({ ...name, partition: -1 }, "zst")).toThrow(refused);
    expect(() => segmentKey({ ...name, partition: 1.5 }, "zst")).toThrow(refused);
    expect(() => segmentKey({ ...name, attempt: "../x" }, "zst")).toThrow(refused);
    expect(() => segmentKey({ ...name, topic: "a/b" }, "zst")).toThrow(refused);
  });
});

test("manifest keys are read back, and told from pages of runs", () => {
  expect(manifestKey(1)).toBe("manifests/00000001.json");
  expect(parseManifestKey(manifestKey(99_999_999))).toBe(99_999_999);
  expect(parseManifestKey(runPageKey(1, 500))).toBeUndefined();
  expect(parseManifestKey("manifest.json")).toBeUndefined();
  expect(() => manifestKey(100_000_000)).toThrow("99999999");
});

test("lease keys sort by token and are read back, each purpose in a folder of its own", () => {
  expect(leaseKey("backup", 12)).toBe("state/lease/backup/00000000000000000012.json");
  expect(parseLeaseKey(leaseKey("restore:AbC_d-9", 3))).toBe(3);
  expect(leaseFolder("restore:AbC_d-9")).toBe("state/lease/restore/AbC_d-9/");
  expect(leaseFolder("restore:a/../b")).toBe("state/lease/restore/a%2F..%2Fb/");
  expect(() => leaseFolder("restore:..")).toThrow();
  expect(parseLeaseKey("state/lease/backup/12.json")).toBeUndefined();
});

test("folders of checkpoints name partition and range, and nothing else is one", () => {
  const at = { runId: "r1", topic: "orders", partition: 3 };
  const range = { from_offset: 1_000_000n, leader_epoch: 7 };
  expect(checkpointKey({ ...at, range }, 2)).toBe(
    "state/runs/r1/checkpoints/orders/3-00000000000001000000-7/00000002.json",
  );
  for (const named of [{ partition: 3 }, { partition: 3, range }]) {
    const name = checkpointsFolder({ ...at, ...named })
      .split("/")
      .at(-2)!;
    expect(parseCheckpointsFolder(name)).toEqual(named);
  }
  for (const name of [
    "",
    "03",
    "-1",
    "3-1-7",
    "3-00000000000001000000",
    "3-00000000000001000000-07",
  ]) {
    expect(parseCheckpointsFolder(name)).toBeUndefined();
  }
});

test("no topic's name makes its objects collide with the software's own", () => {
  const keys = ["run", "cluster", "run.json", "topics"].flatMap((topic) => [
    runListKey("r1", topic),
    checkpointKey({ runId: "r1", topic, partition: 0 }, 0),
    restorePartitionFolder("x1", topic, 0),
  ]);
  const own = ["runs/r1/run.json", "runs/r1/cluster.json", "state/runs/r1/run.json"];
  for (const key of keys) {
    for (const taken of own) expect(key === taken || key.startsWith(`${taken}/`)).toBe(false);
  }
});

describe("S2: names from outside", () => {
  test.each(["a", "A.b_c-9", "_x", "-x", "x".repeat(200), "snapshots2"])("backup id %s", (id) => {
    expect(checkBackupId(id)).toBe(id);
    expect(inBackup(id, "manifest.json")).toBe(`${id}/manifest.json`);
  });

  test.each(["", ".", "..", ".hidden", "snapshots", "a/b", "a b", "é", "x".repeat(201), "a\n"])(
    "backup id %j is refused",
    (id) => {
      const refused = expect.objectContaining({ name: "InvalidRequestError" });
      expect(() => checkBackupId(id)).toThrow(refused);
      expect(() => inBackup(id, "manifest.json")).toThrow(refused);
    },
  );

  test.each(["a", "...", ".hidden", "__consumer_offsets", "x".repeat(249)])("topic %s", (name) => {
    expect(checkTopicName(name)).toBe(name);
  });

  test.each(["", ".", "..", "a/b", "a b", "é", "a\n", "x".repeat(250)])(
    "topic %j is refused",
    (name) => {
      expect(() => checkTopicName(name)).toThrow(
        expect.objectContaining({ name: "InvalidRequestError" }),
      );
    },
  );

  test("no string that passes as a key leads out of its folder", () => {
    const part = fc.constantFrom("..", ".", "", "a", "\\", "/", "%2e%2e", "...", " ", "\u0000");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.boolean(), (parts, joined) => {
        const key = parts.join(joined ? "/" : "");
        try {
          checkRelativeKey(key);
        } catch (error) {
          expect(error).toMatchObject({ name: "CorruptManifestError" });
          return;
        }
        expect(posix.resolve("/root", key).startsWith("/root/")).toBe(true);
        expect(key.split("/")).not.toContain("..");
      }),
    );
  });
});

test("keys compare as their UTF-8 bytes do", () => {
  const text = fc.string({ unit: "binary", maxLength: 8 });
  const near = fc.array(fc.constantFrom("a", "\ud7ff", "\ue000", "\uffff", "😀", "𐀀", "/", "-"));
  fc.assert(
    fc.property(
      fc.oneof(
        text,
        near.map((all) => all.join("")),
      ),
      text,
      (a, b) => {
        for (const [left, right] of [
          [a, b],
          [a, a],
          [a, a + b],
          [`${b}${a}`, `${b}\ue000`],
        ] as const) {
          const bytes = Buffer.compare(Buffer.from(left), Buffer.from(right));
          expect(Math.sign(compareKeys(left, right))).toBe(bytes);
        }
      },
    ),
  );
});
