import fc from "fast-check";
import { expect, test } from "vitest";
import { KeySet } from "#core/prune/key-set.ts";

test("a key set answers as a set of strings would", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (added, others) => {
      const keys = new KeySet();
      for (const key of added) keys.add(key);
      const expected = new Set(added);
      expect(keys.size).toBe(expected.size);
      for (const key of [...added, ...others]) expect(keys.has(key)).toBe(expected.has(key));
    }),
  );
});

test("a hundred thousand keys are all found again, and no others", () => {
  const keys = new KeySet();
  for (let i = 0; i < 100_000; i++) keys.add(`topics/orders/partition=0/segment-${i}`);
  expect(keys.size).toBe(100_000);
  let found = 0;
  for (let i = 0; i < 200_000; i++) {
    if (keys.has(`topics/orders/partition=0/segment-${i}`)) found += 1;
  }
  expect(found).toBe(100_000);
});
