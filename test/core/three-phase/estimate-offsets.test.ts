import fc from "fast-check";
import { expect, test } from "vitest";
import type { TimeWindow } from "#core/restore/documents.ts";
import { planRestore } from "#core/restore/plan.ts";
import { estimateOffsets } from "#core/three-phase/estimate-offsets.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { syntheticBackup, syntheticBatch } from "#test/support/synthetic-backup.ts";

/** One record of each batch's times; the first offset of a batch lies `hole` behind the one before. */
interface Batch {
  readonly hole: number;
  readonly times: readonly number[];
}

/** What is said of `offset` in a partition of these segments, and the truth of it. */
async function estimateOf(
  segments: readonly (readonly Batch[])[],
  offset: bigint,
  window: TimeWindow = {},
) {
  const backup = syntheticBackup();
  const records: { offset: bigint; time: bigint }[] = [];
  let next = 0n;
  const batches = segments.map((segment) =>
    segment.map(({ hole, times }) => {
      const first = next + BigInt(hole);
      next = first + BigInt(times.length);
      const stamps = times.map((time) => BigInt(time));
      for (const [i, time] of stamps.entries()) records.push({ offset: first + BigInt(i), time });
      return syntheticBatch(
        first,
        stamps.map((timestamp) => ({ timestamp, value: "x" })),
      );
    }),
  );
  await backup.addRun({ partitions: [{ segments: batches }] });
  const plan = await planRestore(backup, requestOf({ window }));
  const position = { group: "g", source_topic: "orders", source_partition: 0, offset };
  const more = { metadata: "", read_at: 0n, from: "current" };
  const [estimate] = await estimateOffsets(backup.catalog, plan, [{ ...position, ...more }]);
  const { start = -1n, end = 2n ** 62n } = window;
  const before = records.filter(
    (one) => one.offset < offset && one.time >= start && one.time <= end,
  );
  return { told: estimate!.recordsBefore, truth: BigInt(before.length) };
}

const dense = [{ hole: 0, times: [10, 20, 30] }];

test("in a log without holes every position is known", async () => {
  for (const offset of [0n, 2n, 3n, 5n, 6n, 100n]) {
    const { told, truth } = await estimateOf([dense, dense], offset);
    expect(told).toBe(truth);
  }
});

test("within a segment with holes only the restore can tell, at its border the run list does", async () => {
  const holed = [...dense, { hole: 5, times: [40] }];
  expect((await estimateOf([holed, dense], 4n)).told).toBeUndefined();
  expect((await estimateOf([holed, dense], 9n)).told).toBe(4n);
});

test("behind a segment that a window cuts only the restore can tell", async () => {
  const later = [{ hole: 0, times: [40, 50] }];
  expect((await estimateOf([dense, later], 3n, { end: 40n })).told).toBe(3n);
  expect((await estimateOf([dense, later], 4n, { end: 40n })).told).toBeUndefined();
  expect((await estimateOf([dense, later], 5n, { start: 20n })).told).toBeUndefined();
  expect((await estimateOf([dense, later], 3n, { start: 31n })).told).toBe(0n);
});

test("whatever is told is true", async () => {
  const batch = fc.record({
    hole: fc.integer({ min: 0, max: 2 }),
    times: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }),
  });
  const segments = fc.array(fc.array(batch, { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 4,
  });
  const bound = fc.option(fc.bigInt({ min: 0n, max: 9n }), { nil: undefined });
  await fc.assert(
    fc.asyncProperty(
      segments,
      fc.bigInt({ min: 0n, max: 40n }),
      bound,
      bound,
      async (all, offset, start, end) => {
        fc.pre(start === undefined || end === undefined || start <= end);
        const window = { ...(start !== undefined && { start }), ...(end !== undefined && { end }) };
        const { told, truth } = await estimateOf(all, offset, window);
        if (told !== undefined) expect(told).toBe(truth);
      },
    ),
    { numRuns: 150 },
  );
});
