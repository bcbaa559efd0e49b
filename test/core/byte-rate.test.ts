import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteRate, shareOfWorker } from "#core/byte-rate.ts";
import { type Deadline, deadlineAt } from "#core/runtime.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const never = (clock: FakeClock, signal?: AbortSignal) =>
  deadlineAt(clock, Number.POSITIVE_INFINITY, signal);

interface Moved {
  readonly atMs: number;
  readonly bytes: number;
}

/** One after the other, as one partition does: each takes, moves a part of it, gives the rest back. */
async function moveAll(
  clock: FakeClock,
  rate: ByteRate,
  pieces: readonly { readonly asked: number; readonly moved: number }[],
  deadline: Deadline,
): Promise<Moved[]> {
  const all: Moved[] = [];
  for (const { asked, moved } of pieces) {
    expect(await rate.take(asked, deadline)).toBe(true);
    all.push({ atMs: clock.monotonicMs(), bytes: moved });
    rate.give(asked - moved);
  }
  return all;
}

/** Batches come whole, so that more may come than was asked for. */
const piece = fc
  .record({ asked: fc.integer({ min: 1, max: 50_000 }), percent: fc.integer({ min: 0, max: 200 }) })
  .map(({ asked, percent }) => ({ asked, moved: Math.floor((asked * percent) / 100) }));

test("K5 never moves more in any span than its rate and one burst, whatever is given back", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.array(piece, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      async (bytesPerSecond, partitions) => {
        const clock = new FakeClock();
        const rate = new ByteRate(clock, bytesPerSecond);
        const deadline = never(clock);
        const work = partitions.map((pieces) => moveAll(clock, rate, pieces, deadline));
        const moved = (await clock.runUntil(Promise.all(work))).flat();
        moved.sort((one, other) => one.atMs - other.atMs);
        // What moved beyond what was asked for is known only afterwards: of each partition one piece.
        const unforeseen = partitions.reduce(
          (sum, pieces) => sum + Math.max(0, ...pieces.map((one) => one.moved - one.asked)),
          0,
        );
        const largest = Math.max(0, ...partitions.flat().map(({ asked }) => asked));
        const burst = Math.max(rate.burstBytes, largest) + unforeseen;
        for (let from = 0; from < moved.length; from++) {
          let bytes = 0;
          for (const { atMs, bytes: more } of moved.slice(from)) {
            bytes += more;
            const seconds = (atMs - moved[from]!.atMs) / 1_000;
            expect(bytes).toBeLessThanOrEqual(burst + bytesPerSecond * seconds + 1);
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("K5 takes no longer than the bytes need at its rate", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 100, max: 100_000 }),
      fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 20 }),
      async (bytesPerSecond, sizes) => {
        const clock = new FakeClock();
        const rate = new ByteRate(clock, bytesPerSecond);
        const work = moveAll(
          clock,
          rate,
          sizes.map((asked) => ({ asked, moved: asked })),
          never(clock),
        );
        await clock.runUntil(work);
        const total = sizes.reduce((sum, size) => sum + size, 0);
        // Pauses are whole milliseconds, one for each piece at most.
        expect(clock.monotonicMs()).toBeLessThanOrEqual(
          (total / bytesPerSecond) * 1_000 + 2 * sizes.length,
        );
      },
    ),
    { numRuns: 200 },
  );
});

test("bytes that are given back let the next one go on at once", async () => {
  const clock = new FakeClock();
  const rate = new ByteRate(clock, 1_000);
  await rate.take(1_000, never(clock));
  const next = rate.take(1_000, never(clock));
  await clock.advance(1);
  rate.give(1_000);
  expect(await next).toBe(true);
  expect(clock.monotonicMs()).toBe(1);
});

test("who comes first is served first, however much it wants", async () => {
  const clock = new FakeClock();
  const rate = new ByteRate(clock, 1_000);
  await rate.take(1_000, never(clock));
  const served: string[] = [];
  const large = rate.take(1_000, never(clock)).then(() => served.push("large"));
  const small = rate.take(1, never(clock)).then(() => served.push("small"));
  await clock.runUntil(Promise.all([large, small]));
  expect(served).toEqual(["large", "small"]);
});

test("a wait ends with the deadline, and takes nothing", async () => {
  const clock = new FakeClock();
  const rate = new ByteRate(clock, 1_000);
  await rate.take(5_000, never(clock));
  const late = rate.take(1_000, deadlineAt(clock, clock.monotonicMs() + 500));
  expect(await clock.runUntil(late)).toBe(false);
  expect(clock.monotonicMs()).toBe(500);
  await clock.advance(4_500);
  // 5 s have paid for 5,000 bytes, of which 4,000 were owed.
  expect(await rate.take(1_000, never(clock))).toBe(true);
  expect(clock.monotonicMs()).toBe(5_000);
});

test("a wait ends when the run is stopped", async () => {
  const clock = new FakeClock();
  const rate = new ByteRate(clock, 1_000);
  await rate.take(1_000, never(clock));
  const stop = new AbortController();
  const waiting = rate.take(1_000, never(clock, stop.signal));
  await clock.advance(10);
  stop.abort(new Error("stopped"));
  expect(await waiting).toBe(false);
});

test("K5 the workers of a run together have no more than the run", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_024 }),
      fc.integer({ min: 1, max: 1_000 }),
      (limit, workers) => {
        const share = shareOfWorker(limit, workers);
        expect(share).toBeGreaterThan(0);
        expect(share * workers).toBeLessThanOrEqual(limit);
      },
    ),
  );
});
