import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readAhead } from "#core/catalog/read-ahead.ts";
import { collect } from "#test/support/collect.ts";

test("gives every result in order, within its bounds, however long each read takes", async () => {
  const item = fc.record({ bytes: fc.nat(20), turns: fc.nat(4) });
  const limits = fc.record({ bytesMax: fc.nat(40), countMax: fc.integer({ min: 1, max: 5 }) });
  const property = fc.asyncProperty(
    fc.array(item),
    limits,
    async (items, { bytesMax, countMax }) => {
      const ahead: number[] = [];
      let taken = 0;
      const reads = readAhead(
        items.keys(),
        { bytesOf: (i) => items[i]!.bytes, bytesMax, countMax },
        async (i) => {
          ahead.push(items[i]!.bytes);
          const window = ahead.slice(taken);
          expect(window.length).toBeLessThanOrEqual(countMax);
          if (window.length > 1)
            expect(window.reduce((a, b) => a + b)).toBeLessThanOrEqual(bytesMax);
          for (let turn = 0; turn < items[i]!.turns; turn++) await setImmediate();
          return `result ${i}`;
        },
      );
      for await (const { item: i, result } of reads) {
        expect([i, result]).toEqual([taken, `result ${taken}`]);
        taken++;
      }
      expect(taken).toBe(items.length);
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

test("throws a failed read when its turn comes, after the results before it", async () => {
  const limits = { bytesOf: () => 1, bytesMax: 10, countMax: 10 };
  const given: number[] = [];
  const reading = (async () => {
    const read = async (i: number) => (i === 2 ? Promise.reject(new Error("gone")) : i);
    for await (const { result } of readAhead([0, 1, 2, 3], limits, read)) given.push(result);
  })();
  await expect(reading).rejects.toThrow("gone");
  expect(given).toEqual([0, 1]);
});

test("a consumer that stops early is not troubled by reads that fail later", async () => {
  const limits = { bytesOf: () => 1, bytesMax: 10, countMax: 2 };
  const read = async (i: number) => {
    await setImmediate();
    if (i > 0) throw new Error("nobody waits for this");
    return i;
  };
  for await (const { result } of readAhead([0, 1, 2], limits, read)) {
    expect(result).toBe(0);
    break;
  }
  await setImmediate();
  await setImmediate();
  expect(await collect(readAhead([], limits, read))).toEqual([]);
});
