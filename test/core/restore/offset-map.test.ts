import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeOffsetRuns,
  encodeOffsetRuns,
  mergeOffsetRuns,
  OffsetMapBuilder,
  type OffsetRun,
  translateOffset,
} from "#core/restore/offset-map.ts";

interface Place {
  readonly source: bigint;
  readonly target: bigint;
}

/** Where each record went, one by one: offsets left out before it, on either side. */
const anyPlaces = fc
  .array(
    fc.record({
      skippedSource: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(5)),
      skippedTarget: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(3)),
    }),
    { maxLength: 60 },
  )
  .map((records) => {
    const places: Place[] = [];
    let source = 0n;
    let target = 0n;
    for (const { skippedSource, skippedTarget } of records) {
      source += BigInt(skippedSource);
      target += BigInt(skippedTarget);
      places.push({ source: source++, target: target++ });
    }
    return places;
  });

/** Everything far up in a log of many years. */
const anyShift = fc.bigInt({ min: 0n, max: 2n ** 62n });

function shifted(places: readonly Place[], by: bigint): Place[] {
  return places.map(({ source, target }) => ({ source: source + by, target: target + by }));
}

/** The map as a restore stores it: batches of 1 to 7 records, a part after some of them. */
function partsOf(places: readonly Place[], choices: readonly number[]): Buffer[] {
  const builder = new OffsetMapBuilder();
  const parts: Buffer[] = [];
  for (let i = 0, step = 0; i < places.length; step++) {
    const choice = choices[step % choices.length]!;
    const first = places[i]!;
    let count = 1;
    while (count <= choice % 7 && isNext(places[i + count - 1]!, places[i + count])) count++;
    builder.add(first.source, first.target, count);
    i += count;
    if (choice >= 70) parts.push(encodeOffsetRuns(builder.take()));
  }
  parts.push(encodeOffsetRuns(builder.take()));
  return parts;
}

function readMap(parts: readonly Buffer[]): OffsetRun[] {
  return mergeOffsetRuns(parts.map((part, i) => decodeOffsetRuns(part, `map-${i}`)));
}

function isNext(place: Place, next: Place | undefined): boolean {
  return next?.source === place.source + 1n && next.target === place.target + 1n;
}

/** The fewest runs that say the same. */
function runsOf(places: readonly Place[]): OffsetRun[] {
  const runs: { sourceOffset: bigint; targetOffset: bigint; count: bigint }[] = [];
  for (const [i, { source, target }] of places.entries()) {
    if (i > 0 && isNext(places[i - 1]!, places[i])) runs.at(-1)!.count += 1n;
    else runs.push({ sourceOffset: source, targetOffset: target, count: 1n });
  }
  return runs;
}

const anyChoices = fc.array(fc.nat(99), { minLength: 1, maxLength: 20 });

test("R3: parts that are stored, read and merged are the map, whatever batches and parts it came in", () => {
  fc.assert(
    fc.property(anyPlaces, anyShift, anyChoices, (places, shift, choices) => {
      const all = shifted(places, shift);
      expect(readMap(partsOf(all, choices))).toEqual(runsOf(all));
    }),
  );
});

test("R3: an offset is translated to the first restored record that is not before it", () => {
  fc.assert(
    fc.property(anyPlaces, anyShift, anyChoices, (places, shift, choices) => {
      const all = shifted(places, shift);
      const runs = readMap(partsOf(all, choices));
      const end = (all.at(-1)?.target ?? shift) + 1n;
      const last = all.at(-1)?.source ?? shift;
      for (let offset = shift; offset <= last + 2n; offset++) {
        const naive = all.find(({ source }) => source >= offset)?.target ?? end;
        expect(translateOffset(runs, offset, end), `offset ${offset}`).toBe(naive);
      }
      expect(translateOffset(runs, 0n, end)).toBe(all[0]?.target ?? end);
    }),
  );
});

test("a partition without holes is one run of a few bytes, however many records it has", () => {
  const builder = new OffsetMapBuilder();
  for (let i = 0n; i < 100_000n; i++) builder.add(i * 500n, 7n + i * 500n, 500);
  const runs = builder.take();
  expect(runs).toEqual([{ sourceOffset: 0n, targetOffset: 7n, count: 50_000_000n }]);
  expect(encodeOffsetRuns(runs).toString("hex")).toBe("000780e1eb17");
});

test("nothing restored is an empty map, and everything translates to the end", () => {
  expect(encodeOffsetRuns(new OffsetMapBuilder().take())).toHaveLength(0);
  expect(decodeOffsetRuns(Buffer.alloc(0), "map")).toEqual([]);
  expect(translateOffset([], 5n, 42n)).toBe(42n);
});

describe("bytes that no encoder wrote", () => {
  const refusal = expect.objectContaining({
    name: "CorruptManifestError",
    message: expect.stringContaining("restores/r/map-7.bin"),
  });

  function decode(...bytes: number[]): () => OffsetRun[] {
    return () => decodeOffsetRuns(Uint8Array.from(bytes), "restores/r/map-7.bin");
  }

  test("are refused, and all others are read as they were written", () => {
    const byte = fc.oneof(fc.nat(3), fc.nat(255));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(byte), (any, small) => {
        for (const bytes of [any, Uint8Array.from(small)]) {
          let runs: OffsetRun[];
          try {
            runs = decodeOffsetRuns(bytes, "restores/r/map-7.bin");
          } catch (error) {
            expect(error).toEqual(refusal);
            continue;
          }
          expect(encodeOffsetRuns(runs)).toEqual(Buffer.from(bytes));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("may end within a run", () => {
    expect(decode(0, 0, 0x85, 1)()).toHaveLength(1);
    expect(decode(0, 0, 0x85)).toThrowError(refusal);
    expect(decode(0, 0)).toThrowError(refusal);
  });

  test("may hold a run of no records, which would lead to an offset that has none", () => {
    expect(decode(3, 0, 0)).toThrowError(refusal);
  });

  test("may pad a number", () => {
    expect(decode(0, 0, 0x81, 0)).toThrowError(refusal);
  });

  test("may lead beyond the largest offset", () => {
    const largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    expect(decode(...largest, 0, 1)).toThrowError(refusal);
    expect(decode(...largest, 0x80, 1, 1)).toThrowError(refusal);
  });
});
