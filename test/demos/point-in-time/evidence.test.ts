/** The demo proves nothing unless its proof fails when something is wrong. */
import { expect, test } from "vitest";
import { claimsAbout, type Findings } from "../../../demos/point-in-time/evidence.ts";
import type { SeenRecord } from "../../../demos/point-in-time/seen-records.ts";

const bound = 1_700_000_000_007n;

function record(offset: number, timestamp: bigint, isFaulty: boolean): SeenRecord {
  const content = `${timestamp}\tkey ${offset}\t${isFaulty ? "faulty" : "good"}`;
  return { partition: 0, offset: BigInt(offset), timestamp, content, isFaulty };
}

/** Good ones up to the bound, faulty ones after it in the same batch, and one that came late. */
const source: SeenRecord[] = [
  record(0, bound - 5n, false),
  record(1, bound - 1n, false),
  record(2, bound, false),
  record(3, bound + 1n, true),
  record(4, bound + 2n, true),
  record(5, bound - 3n, false),
];
const good = source.filter(({ isFaulty }) => !isFaulty);
const proven: Findings = {
  produced: { good: 4, faulty: 2 },
  bound,
  source,
  everything: source,
  restored: good.map((seen, i) => ({ ...seen, offset: BigInt(i) })),
  sourceBatches: [
    { partition: 0, baseOffset: 0n, lastOffset: 3n, maxTimestamp: bound + 1n },
    { partition: 0, baseOffset: 4n, lastOffset: 5n, maxTimestamp: bound + 2n },
  ],
};

/** Whether each claim holds, in their order. */
function verdicts(changed: Partial<Findings>): boolean[] {
  return claimsAbout({ ...proven, ...changed }).map(({ holds }) => holds);
}

test("all claims hold where all is as it should be", () => {
  expect(verdicts({})).toEqual([true, true, true, true, true, true]);
});

test.each<[string, Partial<Findings>, number[]]>([
  ["the backup lacks a faulty record", { everything: source.slice(0, -2) }, [0]],
  ["fewer were written than the producer says", { produced: { good: 5, faulty: 3 } }, [0, 2]],
  ["a faulty record was restored", { restored: [...proven.restored, source[3]!] }, [1, 2]],
  ["nothing was restored", { restored: [] }, [1, 2, 4]],
  ["a good record is missing", { restored: proven.restored.slice(1) }, [2, 4]],
  ["the order changed", { restored: proven.restored.toReversed() }, [2, 4]],
  [
    "a byte changed",
    { restored: proven.restored.with(3, { ...proven.restored[3]!, content: "other" }) },
    [2, 4],
  ],
  [
    "a record is in another partition",
    { restored: proven.restored.with(3, { ...proven.restored[3]!, partition: 1 }) },
    [2, 4],
  ],
  ["no good record came late", { source: source.slice(0, 5) }, [0, 2, 3]],
  [
    "the bound lies between batches",
    {
      sourceBatches: [
        { partition: 0, baseOffset: 0n, lastOffset: 2n, maxTimestamp: bound },
        { partition: 0, baseOffset: 3n, lastOffset: 4n, maxTimestamp: bound + 2n },
      ],
    },
    [4, 5],
  ],
  ["the bound is another millisecond", { bound: bound + 1n }, [5]],
])("where %s, the claims about it do not hold", (_, changed, broken) => {
  const failed = verdicts(changed).flatMap((holds, i) => (holds ? [] : [i]));
  expect(failed).toEqual(broken);
});
