import { describe, expect, test } from "vitest";
import type { Manifest, SegmentEntry } from "#core/catalog/manifest.ts";
import { openMemory } from "#core/storage/memory.ts";
import { validationItemKey } from "#core/storage/validation-keys.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import { itemDocument, type SegmentsOfItem } from "#core/validate/steps/contract.ts";
import { itemCostOf, SegmentPacker, segmentsPerItemMax } from "#core/validate/steps/pack.ts";
import { workItemsMax } from "#core/work-items/pack.ts";
import { syntheticBackup } from "#test/support/synthetic-backup.ts";

const mib = 1024 * 1024;

function segmentAt(number: number, storedBytes: number): SegmentEntry {
  return {
    key: `topics/orders/partition=0/segment-${number.toString().padStart(20, "0")}-a1.zst`,
    start_offset: BigInt(number),
    end_offset: BigInt(number),
    end_timestamp: 1n,
    record_count: 1,
    batch_count: 1,
    batch_bytes: storedBytes,
    stored_bytes: storedBytes,
    sha256: "0".repeat(64),
    index_bytes: 100,
    index_sha256: "0".repeat(64),
    leader_epochs: [{ epoch: 0, start_offset: 0n }],
  };
}

/** A manifest that counts so much, in one lineage. */
async function manifestOf(segments: number, storedBytes: number): Promise<Manifest> {
  const { manifest } = await syntheticBackup().addRun({ partitions: [{ segments: [] }] });
  const { totals } = manifest.topics[0]!.partitions[0]!.lineages[0]!;
  Object.assign(totals, { segment_count: segments, stored_bytes: segments * storedBytes });
  return manifest;
}

interface Packing {
  readonly level: ValidationLevel;
  readonly segments: number;
  readonly storedBytes: number;
  readonly workers?: number;
  /** What the manifest says where it is wrong. */
  readonly counted?: number;
}

/** Keeps no bytes but of the largest object. */
async function packed({ level, segments, storedBytes, workers = 40, counted }: Packing) {
  const manifest = await manifestOf(counted ?? segments, storedBytes);
  let largest = 0;
  const storage = openMemory();
  const put = async (_key: string, body: Uint8Array) => {
    largest = Math.max(largest, body.length);
  };
  const packer = new SegmentPacker({
    storage: { ...storage, url: "", put } as typeof storage,
    newId: () => "0123456789abcdef",
    validation: { backup_id: "b", validation_id: "v", level },
    itemCost: itemCostOf(manifest, level, workers),
    from: 0,
  });
  await packer.whileOpen(async (add) => {
    for (let i = 0; i < segments; i++) {
      const segment = segmentAt(i, storedBytes);
      await add({ backup_id: "b", level, topic: "orders", partition: 0, lineage: 1, segment });
    }
  });
  return { items: packer.items, largest };
}

function sizes(items: readonly SegmentsOfItem[]): number[] {
  return items.map(({ segments }) => segments);
}

describe("a plan of a million segments", () => {
  test.each([
    ["shallow", 40],
    ["deep", 40],
    ["deep", 1_000],
  ] as const)(
    "fits the machine, %s with %i workers",
    async (level, workers) => {
      const segments = 1_000_000;
      const { items, largest } = await packed({ level, segments, storedBytes: 30 * mib, workers });
      expect(items.length).toBeLessThanOrEqual(workItemsMax);
      expect(items.length).toBeGreaterThanOrEqual(4 * workers);
      expect(sizes(items).reduce((a, b) => a + b)).toBe(segments);
      expect(Math.max(...sizes(items))).toBeLessThanOrEqual(segmentsPerItemMax);
      expect(largest).toBeLessThan(5 * mib);
      // What a worker is handed, of the 256 KiB that a state machine's data may have.
      expect(Math.max(...items.map((item) => JSON.stringify(item).length))).toBeLessThan(200);
      expect(JSON.stringify(items).length).toBeLessThan(mib);
    },
    60_000,
  );

  test("makes 10,000 items at most also where the manifest counts too little", async () => {
    const wrong = { level: "deep", segments: 30_000, storedBytes: 100 * mib, counted: 1 } as const;
    const { items } = await packed(wrong);
    expect(items.length).toBe(workItemsMax);
    expect(items.at(-1)!.segments).toBe(30_000 - (workItemsMax - 1));
  }, 60_000);
});

test("one large partition is spread over all workers; what is small is left together", async () => {
  const large = await packed({ level: "deep", segments: 1_000, storedBytes: 30 * mib });
  expect(large.items.length).toBeGreaterThanOrEqual(160);
  expect(Math.max(...sizes(large.items)) - Math.min(...sizes(large.items))).toBeLessThanOrEqual(6);
  const small = await packed({ level: "deep", segments: 15, storedBytes: 1_000 });
  expect(sizes(small.items)).toEqual([15]);
  const shallow = await packed({ level: "shallow", segments: 1_000, storedBytes: 30 * mib });
  expect(sizes(shallow.items)).toEqual([500, 500]);
});

test("an item's object holds its segments, in their order", async () => {
  const storage = openMemory();
  const validation = { backup_id: "b", validation_id: "v", level: "deep" } as const;
  const newId = () => "0123456789abcdef";
  const itemCost = BigInt(20 * mib);
  const packer = new SegmentPacker({ storage, newId, validation, itemCost, from: 7 });
  await packer.whileOpen(async (add) => {
    for (let i = 0; i < 5; i++) {
      const segment = segmentAt(i, 5 * mib);
      await add({ ...validation, topic: "orders", partition: 3, lineage: 2, segment });
    }
  });
  expect(packer.items).toEqual([
    { number: 7, attempt: "0123456789abcdef", segments: 2 },
    { number: 8, attempt: "0123456789abcdef", segments: 2 },
    { number: 9, attempt: "0123456789abcdef", segments: 1 },
  ]);
  const body = await storage.get(validationItemKey(validation, 8, "0123456789abcdef"));
  expect(itemDocument.parse(JSON.parse(body.toString()))).toEqual(
    [2, 3].map((i) => ({
      ...{ topic: "orders", partition: 3, lineage: 2 },
      segment: segmentAt(i, 5 * mib),
    })),
  );
});
