/** Positions in the newest run of source offsets, against a model that looks at all of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { HeaderRun } from "#core/offsets/header-run.ts";

const anyOffset = fc.bigInt({ min: 0n, max: 40n });
/** What the headers of a target say, in the order of its records; it begins at offset 100. */
const anyHeaders = fc.array(
  fc.uniqueArray(anyOffset, { maxLength: 12 }).map((run) => run.sort((a, b) => Number(a - b))),
  { maxLength: 4 },
);
const anyPositions = fc
  .uniqueArray(fc.bigInt({ min: 0n, max: 45n }), { minLength: 1, maxLength: 8 })
  .map((positions) => positions.sort((a, b) => Number(a - b)));

function runOf(positions: readonly bigint[], originals: readonly bigint[]): HeaderRun {
  const run = new HeaderRun(positions);
  for (const [i, original] of originals.entries()) run.add(original, 100n + BigInt(i));
  return run;
}

/** From where on the values ascend up to the last one. */
function newestBeginning(originals: readonly bigint[]): number {
  let first = Math.max(originals.length - 1, 0);
  while (first > 0 && originals[first - 1]! < originals[first]!) first--;
  return first;
}

test("a position is answered by the newest run's first record that is not below it", () => {
  fc.assert(
    fc.property(anyHeaders, anyPositions, (runs, positions) => {
      const originals = runs.flat();
      const run = runOf(positions, originals);
      const first = newestBeginning(originals);
      for (const position of positions) {
        const found = originals.findIndex((original, i) => i >= first && original >= position);
        const expected = found < 0 ? undefined : 100n + BigInt(found);
        expect(run.at(position)?.target).toBe(expected);
      }
      expect(run.end).toBe(originals.length === 0 ? undefined : 100n + BigInt(originals.length));
      expect(run.isEmpty).toBe(originals.length === 0);
    }),
    { numRuns: 500 },
  );
});

test("reading may stop as soon as the last position is answered", () => {
  const run = runOf([3n, 10n], [1n, 4n]);
  expect(run.isComplete).toBe(false);
  run.add(12n, 102n);
  expect(run.isComplete).toBe(true);
});

test("records that only an older run holds are told", () => {
  const run = runOf([50n, 85n], [0n, 49n, 60n, 90n, 80n, 99n]);
  expect(run.at(50n)).toEqual({ original: 80n, target: 104n });
  expect(run.leftOut(50n)).toEqual({ original: 60n, target: 102n });
  expect(run.leftOut(85n)).toBeUndefined();
});

test("of a topic that was restored into twice nothing is left out", () => {
  const run = runOf([1n], [0n, 1n, 2n, 0n, 1n, 2n]);
  expect(run.at(1n)).toEqual({ original: 1n, target: 104n });
  expect(run.leftOut(1n)).toBeUndefined();
});
