import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PartitionWork } from "#core/backup/contract.ts";
import { packWorkItems, type WorkItem, workItem } from "#core/backup/work-items.ts";
import { toJson } from "#core/json.ts";
import { workItemBytesMax, workItemsMax } from "#core/work-items/pack.ts";

/** What a partition costs beside its offsets. */
const partitionCost = 50_000;

function work(topic: string, partition: number, offsets: bigint, start = 0n): PartitionWork {
  return {
    topic,
    topic_id: "6N0YFIQ2dnatCoVMEeqvWA",
    partition,
    lineage: 1,
    start_offset: start,
    end_offset: start + offsets,
    leader_epoch: 3,
    last_leader_epoch: -1,
  };
}

function works(count: number, offsets: (i: number) => bigint, topic = "orders"): PartitionWork[] {
  return Array.from({ length: count }, (_, i) => work(topic, i, offsets(i)));
}

function costOf(item: WorkItem): number {
  return item.partitions.reduce(
    (sum, { start_offset, end_offset }) => sum + Number(end_offset - start_offset) + partitionCost,
    0,
  );
}

/** The time of a run in offsets, where each of `workers` takes the next item when it is free. */
function makespan(items: readonly WorkItem[], workers: number): number {
  const busyUntil = Array.from({ length: workers }, () => 0);
  for (const item of items) {
    const next = busyUntil.indexOf(Math.min(...busyUntil));
    busyUntil[next]! += costOf(item);
  }
  return Math.max(...busyUntil);
}

const sizes = fc.array(fc.bigInt({ min: 0n, max: 10_000_000n }), { maxLength: 300 });
const workers = fc.integer({ min: 1, max: 200 });

describe("work items", () => {
  test("each partition with something to read is in one item, the others in none", () => {
    fc.assert(
      fc.property(sizes, workers, (sizes, workers) => {
        const partitions = sizes.map((offsets, i) => work("orders", i, offsets, BigInt(i)));
        const packed = packWorkItems(partitions, workers).flatMap((item) => item.partitions);
        const expected = partitions.filter((one) => one.end_offset > one.start_offset);
        expect(new Set(packed)).toEqual(new Set(expected));
        expect(packed).toHaveLength(expected.length);
      }),
    );
  });

  test("items are numbered as they are listed, and those that take longest come first", () => {
    const items = packWorkItems([...works(6, (i) => 10n ** BigInt(i + 2))], 2);
    expect(items.map(({ number }) => number)).toEqual(items.map((_, i) => i));
    expect(items[0]?.partitions.map(({ partition }) => partition)).toEqual([5]);
  });

  test("a run takes at most a third longer than the even share of its work, or its largest partition", () => {
    fc.assert(
      fc.property(sizes, workers, (sizes, workers) => {
        const items = packWorkItems(
          works(sizes.length, (i) => sizes[i]!),
          workers,
        );
        if (items.length === 0) return;
        const total = items.reduce((sum, item) => sum + costOf(item), 0);
        const largest = Math.max(...sizes.map(Number)) + partitionCost;
        const smallestItem = 5 * partitionCost;
        const share = total / workers;
        const bound = share + Math.max(largest, share / 3, smallestItem);
        expect(makespan(items, workers)).toBeLessThanOrEqual(bound);
      }),
    );
  });

  test("10,000 tiny partitions share the starts of some hundred workers", () => {
    const items = packWorkItems(
      works(10_000, () => 3n),
      50,
    );
    expect(items.length).toBeGreaterThanOrEqual(200);
    expect(items.length).toBeLessThanOrEqual(210);
    expect(Math.max(...items.map((item) => item.partitions.length))).toBe(50);
  });

  test("one large partition among 9,999 tiny ones is alone and comes first", () => {
    const items = packWorkItems(
      works(10_000, (i) => (i === 4711 ? 2_000_000_000n : 3n)),
      50,
    );
    expect(items[0]?.partitions.map(({ partition }) => partition)).toEqual([4711]);
    expect(items.slice(1).flatMap((item) => item.partitions)).toHaveLength(9_999);
  });

  test("10,000 large partitions are at most 10,000 items", () => {
    const items = packWorkItems(
      works(10_000, (i) => BigInt(1_000_000_000 + i)),
      1_000,
    );
    expect(items.length).toBeLessThanOrEqual(workItemsMax);
    expect(items.flatMap((item) => item.partitions)).toHaveLength(10_000);
  });

  test("30,000 partitions of one size are at most 10,000 items, for however many workers", () => {
    const items = packWorkItems(
      works(30_000, () => 900_000n),
      100_000,
    );
    expect(items.length).toBeLessThanOrEqual(workItemsMax);
  });

  test("an item's JSON stays below a quarter of what Step Functions takes, with the longest names", () => {
    const topic = "t".repeat(249);
    const items = packWorkItems(
      works(20_000, () => 1n, topic),
      1,
    );
    const sizes = items.map((item) => Buffer.byteLength(toJson(item)));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(workItemBytesMax + 1024);
    expect(workItemBytesMax).toBeLessThanOrEqual((256 * 1024) / 4);
  });

  test("the list of 10,000 partitions has 3 MB at most, and reads back as it was", () => {
    const topic = "a.usual.name.of.a.topic";
    const items = packWorkItems(
      works(10_000, (i) => BigInt(i), topic),
      50,
    );
    const json = toJson(items);
    expect(json.length).toBeLessThan(3_000_000);
    expect(workItem.array().parse(JSON.parse(json))).toEqual(items);
  });

  test("offsets beyond 2^53 come through JSON", () => {
    const far = work("orders", 0, 5n, 2n ** 62n);
    const items = packWorkItems([far], 1);
    expect(workItem.array().parse(JSON.parse(toJson(items)))[0]?.partitions).toEqual([far]);
  });

  test("too many partitions for one run are refused by name", () => {
    const topic = "t".repeat(249);
    const partitions = Array.from({ length: 1_600_000 }, () => work(topic, 0, 1n));
    const refusal = {
      name: "InvalidRequestError",
      message: expect.stringMatching(/1600000 partitions make \d+ work items/),
    };
    expect(() => packWorkItems(partitions, 50)).toThrow(expect.objectContaining(refusal));
  });
});
