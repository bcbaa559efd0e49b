import { beforeEach, describe, expect, test } from "vitest";
import { type InspectRequest, inspect, partitionOfSegment } from "#core/inspect/inspect.ts";
import { deadlineAt } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import {
  type SyntheticBackup,
  syntheticBackup,
  syntheticBatch,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const never = deadlineAt(systemClock, Number.POSITIVE_INFINITY);
let storage: StorageBackend;
let backup: SyntheticBackup;

beforeEach(async () => {
  storage = openMemory();
  backup = syntheticBackup(storage, "nightly");
  await backup.addRun({
    partitions: [{ segments: [syntheticBatches(0n, 3), syntheticBatches(9n, 2)] }],
  });
  await backup.addRun({
    partitions: [
      {
        startOffset: 15n,
        gaps: [{ from_offset: 15n, to_offset: 20n }],
        segments: [syntheticBatches(20n, 2)],
      },
    ],
  });
});

function look(wanted: Partial<InspectRequest> = {}) {
  const request: InspectRequest = {
    ...{ backup_id: "nightly", topic: "orders", partition: 0, records_max: 100 },
    ...{ form: "auto", bytes_max: 1_000 },
    ...wanted,
  };
  return inspect({ storage, catalog: backup.catalog }, request, never);
}

const offsetsOf = ({ records }: Awaited<ReturnType<typeof look>>) =>
  records.map(({ offset }) => Number(offset));
const count = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("a partition's records", () => {
  test("come in order over all runs and segments", async () => {
    const all = await look();
    expect(offsetsOf(all)).toEqual([...count(0, 14), ...count(20, 25)]);
    expect(all).toMatchObject({ generation: 2, lineage: 1 });
    expect(all.next_offset).toBeUndefined();
    expect(all.records[4]).toMatchObject({
      key: { bytes: 5, text: "key-4" },
      value: { text: "value of the record at offset 4" },
      timestamp_type: "create",
      batch: { base_offset: 3n, last_offset: 5n, codec: "none", leader_epoch: 0 },
      segment: expect.stringMatching(/^topics\/orders\/partition=0\/segment-0{20}-/),
    });
  });

  test("are as many as asked for, and it says where to go on", async () => {
    const first = await look({ records_max: 14 });
    expect(offsetsOf(first)).toEqual(count(0, 13));
    expect(first.next_offset).toBe(14n);
    const second = await look({ records_max: 4, from_offset: first.next_offset! });
    expect(offsetsOf(second)).toEqual([14, 20, 21, 22]);
    const last = await look({ records_max: 3, from_offset: second.next_offset! });
    expect(offsetsOf(last)).toEqual([23, 24, 25]);
    expect(last.next_offset).toBeUndefined();
  });

  test("between two offsets are those alone, both ends counted, also inside of batches", async () => {
    const some = await look({ from_offset: 4n, to_offset: 10n });
    expect(offsetsOf(some)).toEqual(count(4, 10));
    expect(some.next_offset).toBeUndefined();
    expect(offsetsOf(await look({ from_offset: 15n, to_offset: 19n }))).toEqual([]);
  });

  test("of an older generation are those that it held", async () => {
    expect(offsetsOf(await look({ generation: 1 }))).toEqual(count(0, 14));
  });

  test("only frames that hold them are read", async () => {
    const read: string[] = [];
    const getRange = storage.getRange.bind(storage);
    storage.getRange = (key, position, length) => {
      if (key.endsWith(".zst")) read.push(key);
      return getRange(key, position, length);
    };
    expect(offsetsOf(await look({ from_offset: 10n, to_offset: 11n }))).toEqual([10, 11]);
    expect(read).toHaveLength(1);
  });
});

test("from a time on: the first record that is not older, and what follows whatever its time", async () => {
  const timed = (base: bigint, times: readonly bigint[]) =>
    syntheticBatch(
      base,
      times.map((timestamp) => ({ timestamp, value: "v" })),
    );
  await backup.addRun({
    partitions: [
      { topic: "times", segments: [[timed(0n, [100n, 200n]), timed(2n, [300n, 150n, 400n])]] },
    ],
  });
  const at = (from_time: bigint) => look({ topic: "times", from_time }).then(offsetsOf);
  expect(await at(0n)).toEqual([0, 1, 2, 3, 4]);
  expect(await at(200n)).toEqual([1, 2, 3, 4]);
  expect(await at(201n)).toEqual([2, 3, 4]);
  expect(await at(301n)).toEqual([4]);
  expect(await at(401n)).toEqual([]);
});

test("nulls are nulls, headers are in their order with repeated keys, compressed or not", async () => {
  const record = {
    key: null,
    value: null,
    headers: [
      ["trace", "1"],
      ["trace", null],
    ] as const,
  };
  await backup.addRun({
    partitions: [{ topic: "odd", segments: [[syntheticBatch(7n, [record], { codec: "lz4" })]] }],
  });
  const { records } = await look({ topic: "odd" });
  expect(records).toMatchObject([
    {
      offset: 7n,
      key: null,
      value: null,
      headers: [
        { key: { text: "trace" }, value: { bytes: 1, text: "1" } },
        { key: { text: "trace" }, value: null },
      ],
      batch: { codec: "lz4" },
    },
  ]);
});

describe("a segment", () => {
  test("is shown alone", async () => {
    const { records } = await look();
    const segment = records.find(({ offset }) => offset === 9n)!.segment;
    expect(offsetsOf(await look({ segment }))).toEqual(count(9, 14));
    expect(partitionOfSegment(segment)).toEqual({ topic: "orders", partition: 0 });
  });

  test("that no manifest names is said to be none", async () => {
    const segment = "topics/orders/partition=0/segment-00000000000000000000-absent.zst";
    await expect(look({ segment })).rejects.toMatchObject({ name: "SegmentNotFoundError" });
    expect(() => partitionOfSegment("topics/orders")).toThrow(/is not a segment's key/);
  });
});

test.each([
  [{ backup_id: "weekly" }, "BackupNotFoundError"],
  [{ topic: "payments" }, "TopicNotFoundError"],
  [{ partition: 3 }, "TopicNotFoundError"],
  [{ lineage: 2 }, "TopicNotFoundError"],
])("what is not there is named: %j", async (wanted, name) => {
  await expect(look(wanted)).rejects.toMatchObject({ name });
});
