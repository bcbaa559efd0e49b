import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toJson } from "#core/json.ts";
import type { RestoreWork } from "#core/restore/partition-runs.ts";
import { type RestoreItem, restoreItem } from "#core/restore/steps/contract.ts";
import { packRestoreItems } from "#core/restore/steps/prepare.ts";
import { workItemBytesMax, workItemsMax } from "#core/work-items/pack.ts";

interface Names {
  readonly source: string;
  readonly target: string;
}
const usualNames: Names = { source: "orders", target: "restored.orders" };
/** Kafka allows no longer ones. */
const longestNames: Names = { source: "s".repeat(249), target: "t".repeat(249) };

function work(partition: number, { source, target }: Names = usualNames): RestoreWork {
  return {
    source_topic: source,
    source_partition: partition,
    lineage: 2,
    target_topic: target,
    target_partition: partition,
    target_topic_id: "6N0YFIQ2dnatCoVMEeqvWA",
    max_message_bytes: 1_048_588,
  };
}

function works(count: number, names?: Names): RestoreWork[] {
  return Array.from({ length: count }, (_, i) => work(i, names));
}

/** How many records each has, by the key that the manifest's lineages are told by. */
function countsOf(all: readonly RestoreWork[], records: (i: number) => number) {
  return new Map(
    all.map(({ source_topic, source_partition, lineage }, i) => [
      `${source_topic}/${source_partition}/${lineage}`,
      records(i),
    ]),
  );
}

function packed(
  count: number,
  workers: number,
  records: (i: number) => number,
  names?: Names,
): RestoreItem[] {
  const all = works(count, names);
  return packRestoreItems(all, countsOf(all, records), workers);
}

const bytesOf = (item: RestoreItem) => Buffer.byteLength(toJson(item));

describe("work items of a restore", () => {
  test("each partition is in one item, also one without records: it is verified like any other", () => {
    const sizes = fc.array(fc.nat({ max: 10_000_000 }), { maxLength: 300 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 200 }), (sizes, workers) => {
        const items = packed(sizes.length, workers, (i) => sizes[i]!);
        const partitions = items.flatMap((item) => item.partitions);
        expect(partitions).toHaveLength(sizes.length);
        expect(new Set(partitions.map(({ source_partition }) => source_partition)).size).toBe(
          sizes.length,
        );
        expect(items.map(({ number }) => number)).toEqual(items.map((_, i) => i));
      }),
    );
  });

  test("those with the most records in their lineage come first", () => {
    const items = packed(6, 2, (i) => 10 ** (i + 2));
    expect(items[0]?.partitions.map(({ source_partition }) => source_partition)).toEqual([5]);
  });

  test("a lineage that is restored counts, not another one of the partition", () => {
    const all = works(60);
    const counts = countsOf(all, () => 0);
    counts.set("orders/59/1", 1_000_000_000);
    expect(packRestoreItems(all, counts, 2)).toEqual(packRestoreItems(all, new Map(), 2));
  });

  test("10,000 partitions share the starts of some hundred workers", () => {
    const items = packed(10_000, 50, () => 3);
    expect(items.length).toBeGreaterThanOrEqual(200);
    expect(items.length).toBeLessThanOrEqual(210);
    expect(Math.max(...items.map(({ partitions }) => partitions.length))).toBe(50);
    expect(items.flatMap(({ partitions }) => partitions)).toHaveLength(10_000);
  });

  test("one large partition among 9,999 tiny ones is alone and comes first", () => {
    const items = packed(10_000, 50, (i) => (i === 4711 ? 2_000_000_000 : 3));
    expect(items[0]?.partitions.map(({ source_partition }) => source_partition)).toEqual([4711]);
    expect(items.slice(1).flatMap(({ partitions }) => partitions)).toHaveLength(9_999);
  });

  test("10,000 large partitions are at most 10,000 items", () => {
    const items = packed(10_000, 1_000, (i) => 1_000_000_000 + i);
    expect(items.length).toBeLessThanOrEqual(workItemsMax);
    expect(items.flatMap(({ partitions }) => partitions)).toHaveLength(10_000);
  });

  test("30,000 partitions of one size are at most 10,000 items, for however many workers", () => {
    const items = packed(30_000, 100_000, () => 900_000);
    expect(items.length).toBeLessThanOrEqual(workItemsMax);
    expect(items.flatMap(({ partitions }) => partitions)).toHaveLength(30_000);
  });

  test("an item's JSON stays below a quarter of what Step Functions takes, with the longest names", () => {
    const items = packed(20_000, 1, () => 1, longestNames);
    const largest = Math.max(...items.map(bytesOf));
    // The bound of bytes decides here: items are nearly full, and none is over it.
    expect(largest).toBeGreaterThan(workItemBytesMax * 0.8);
    expect(largest).toBeLessThanOrEqual(workItemBytesMax + 1024);
    expect(workItemBytesMax).toBeLessThanOrEqual((256 * 1024) / 4);
  });

  test("what a partition is reckoned with covers its JSON with the largest numbers", () => {
    const largest: RestoreWork = {
      ...work(2 ** 31 - 1, longestNames),
      lineage: 2 ** 31 - 1,
      max_message_bytes: 2 ** 31 - 1,
    };
    const all = Array.from({ length: 1_000 }, () => largest);
    const items = packRestoreItems(all, new Map(), 1);
    expect(Math.max(...items.map(bytesOf))).toBeLessThanOrEqual(workItemBytesMax + 1024);
  });

  test("the list of 10,000 partitions has 3 MB at most, and reads back as it was", () => {
    const names = { source: "a.usual.name.of.a.topic", target: "another.usual.name.of.a.topic" };
    const items = packed(10_000, 50, (i) => i, names);
    const json = toJson(items);
    expect(json.length).toBeLessThan(3_000_000);
    expect(restoreItem.array().parse(JSON.parse(json))).toEqual(items);
  });

  test("too many partitions for one restore are refused by name", () => {
    const one = work(0, longestNames);
    const all = Array.from({ length: 1_200_000 }, () => one);
    const refusal = {
      name: "InvalidRequestError",
      message: expect.stringMatching(/1200000 partitions make \d+ work items/),
    };
    expect(() => packRestoreItems(all, new Map(), 50)).toThrow(expect.objectContaining(refusal));
  });
});
