/** Which partitions are split, and where. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PartitionWork } from "#core/backup/contract.ts";
import { worksOf } from "#core/backup/ranges.ts";
import { rangeOffsetsDefault, splitRanges } from "#core/backup/split-ranges.ts";
import { packWorkItems } from "#core/backup/work-items.ts";
import { BackupError } from "#core/errors.ts";
import { toJson } from "#core/json.ts";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster, FetchRequest } from "#core/kafka/cluster.ts";
import { workItemBytesMax } from "#core/work-items/pack.ts";

const perBatch = 10n;

/** Answers with the batch of ten records that holds the offset. */
function fetchBatch({ fetchOffset }: Pick<FetchRequest, "fetchOffset">) {
  const records = Array.from({ length: Number(perBatch) }, () => ({
    ...{ timestamp: 5n, key: null, value: null },
  }));
  const baseOffset = (fetchOffset / perBatch) * perBatch;
  const fields = { codec: "none", baseOffset, partitionLeaderEpoch: 4 } as const;
  return Promise.resolve({ records: encodeBatch(records, fields) });
}

function clusterWith(fetch: (request: FetchRequest) => Promise<{ records: Buffer }>): Cluster {
  return { fetch } as unknown as Cluster;
}

const cluster = clusterWith(fetchBatch);

function work(partition: number, offsets: bigint, topic = "orders"): PartitionWork {
  return {
    ...{ topic, topic_id: "6N0YFIQ2dnatCoVMEeqvWA", partition, lineage: 1 },
    ...{ start_offset: 0n, end_offset: offsets, leader_epoch: 4, last_leader_epoch: -1 },
  };
}

async function split(partitions: PartitionWork[], workers: number, least = rangeOffsetsDefault) {
  const ranges = await splitRanges(cluster, partitions, { workers, rangeOffsetsMin: least });
  ranges.sort((a, b) => (a.from_offset < b.from_offset ? -1 : 1));
  return worksOf({ partitions, ranges });
}

function lengthsOf(works: readonly PartitionWork[]): number[] {
  return works.map(({ start_offset, end_offset }) => Number(end_offset - start_offset));
}

describe("a partition", () => {
  test("that is all there is gives each worker four ranges", async () => {
    const works = await split([work(0, 1_000_000_000n)], 40);
    expect(works).toHaveLength(159);
    expect(Math.min(...lengthsOf(works))).toBeGreaterThan(6_000_000);
    expect(Math.max(...lengthsOf(works))).toBeLessThan(6_500_000);
    expect(packWorkItems(works, 40)).toHaveLength(159);
  });

  test("that no other worker would wait for is not split", async () => {
    const even = Array.from({ length: 40 }, (_, i) => work(i, 50_000_000n));
    expect(await split(even, 40)).toEqual(even);
    expect(await split([work(0, 1_000_000_000n)], 1)).toHaveLength(1);
  });

  test("has ranges of no fewer offsets than are worth a worker", async () => {
    expect(await split([work(0, 1_999_999n)], 40)).toHaveLength(1);
    expect(lengthsOf(await split([work(0, 3_500_000n)], 40))).toHaveLength(3);
    expect(await split([work(0, 60_000n)], 40, 10_000)).toHaveLength(6);
  });

  test("is covered by its ranges, whatever there is beside it, and no batch lies across a border", async () => {
    const sizes = fc.array(fc.bigInt({ min: 0n, max: 60_000_000n }), { maxLength: 12 });
    const property = fc.asyncProperty(sizes, fc.integer({ min: 1, max: 60 }), async (sizes, n) => {
      const partitions = sizes.map((offsets, i) => work(i, offsets));
      const works = await split(partitions, n);
      for (const { partition, end_offset } of partitions) {
        const own = works.filter((one) => one.partition === partition);
        const starts = own.map(({ start_offset }) => start_offset);
        expect(own.map((one) => one.end_offset)).toEqual([...starts.slice(1), end_offset]);
        expect(starts[0]).toBe(0n);
        for (const start of starts) expect(start % perBatch).toBe(0n);
      }
    });
    await fc.assert(property, { numRuns: 100 });
  });

  test("whose borders the broker does not show is read as a whole, or has fewer ranges", async () => {
    const large = work(0, 10_000_000n);
    const options = { workers: 40, rangeOffsetsMin: 1_000_000 };
    const failing = clusterWith(async (request) => {
      if (request.fetchOffset < 5_000_000n) throw new BackupError("AccessDeniedError", "no Read");
      return request.fetchOffset < 8_000_000n ? { records: Buffer.alloc(0) } : fetchBatch(request);
    });
    const ranges = await splitRanges(failing, [large], options);
    expect(ranges.map(({ from_offset }) => from_offset).sort()).toEqual([8_000_000n, 9_000_000n]);
    const damaged = clusterWith(async (request) => {
      const { records } = await fetchBatch(request);
      records[80]! ^= 1;
      return { records };
    });
    expect(await splitRanges(damaged, [large], options)).toEqual([]);
  });
});

test("ranges with the longest names and numbers keep an item's JSON within its bounds", () => {
  const topic = "t".repeat(249);
  const range = { from_offset: 2n ** 62n, leader_epoch: 2 ** 31 - 1 };
  const works = Array.from({ length: 2_000 }, (_, i) => ({
    ...work(i, 1n, topic),
    ...{ start_offset: 2n ** 62n, end_offset: 2n ** 62n + 1n, range },
    end_leader_epoch: 2 ** 31 - 1,
  }));
  const bytes = packWorkItems(works, 1).map((item) => Buffer.byteLength(toJson(item)));
  expect(Math.max(...bytes)).toBeLessThanOrEqual(workItemBytesMax + 1024);
});
