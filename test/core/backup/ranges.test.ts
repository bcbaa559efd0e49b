/** Partitions that are read in ranges, beside ones that are read as a whole. */
import fc, { type GeneratorValue } from "fast-check";
import { describe, expect, test } from "vitest";
import type { BackupPlan, PartitionWork } from "#core/backup/contract.ts";
import type { SplitOptions } from "#core/backup/split-ranges.ts";
import type { Gap, LineageState } from "#core/catalog/manifest.ts";
import { isBackupError } from "#core/errors.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { type LoggedBatch, LogModel } from "#test/support/log-model.ts";
import {
  archivedBatches,
  commit,
  lineagesIn,
  type ModelBackup,
  modelBackup,
  modelBackupId,
  pendingOf,
  planned,
  turn,
  wholeRun,
} from "#test/support/model-backup.ts";

/** Without shrinking, which takes minutes: a failure names its seed. */
const runs = { numRuns: 60, endOnFailure: true };
const timeoutMs = 120_000;

/** So many that any partition is more than one's share; then a range's least length decides. */
const workers = 100_000;

function numberUpTo(g: GeneratorValue, max: number): number {
  return g(fc.nat, { max });
}

/** What producers, elections and compaction make of a log. */
function grow(g: GeneratorValue, log: LogModel, steps: number, isCompacted = false): void {
  for (let i = 0; i < steps; i++) {
    const what = numberUpTo(g, isCompacted ? 9 : 8);
    const count = 1 + numberUpTo(g, 5);
    if (what <= 4) log.append(count);
    else if (what === 5) log.appendEmptied(count);
    else if (what <= 7) log.appendTransaction(BigInt(count), count, what === 6);
    else if (what === 8) log.elect();
    else log.compact(({ base }) => base % BigInt(count + 1) === 0n);
  }
}

function grown(g: GeneratorValue): LogModel {
  const log = new LogModel();
  grow(g, log, 5 + numberUpTo(g, 25), true);
  // A log may begin inside of a batch.
  if (numberUpTo(g, 2) === 0) log.deleteBefore(BigInt(numberUpTo(g, Number(log.end))));
  return log;
}

function limits(g: GeneratorValue) {
  return {
    fetchBytes: 1 + numberUpTo(g, 800),
    segmentBytes: [1, 300, 1_000_000][numberUpTo(g, 2)]!,
  };
}

function split(g: GeneratorValue): SplitOptions {
  return { workers, rangeOffsetsMin: 1 + numberUpTo(g, 30) };
}

/**
 * Turns of random workers, each of some fetches, until all is read or has failed, or `turnsMax`
 * are over; gives how many failed. Before each of them `meanwhile` happens.
 */
async function readInTurns(
  g: GeneratorValue,
  backup: ModelBackup,
  plan: BackupPlan,
  meanwhile = () => {},
  turnsMax = Number.POSITIVE_INFINITY,
): Promise<number> {
  const pending = pendingOf(plan);
  let failures = 0;
  for (let turns = 0; pending.length > 0 && turns < turnsMax; turns++) {
    meanwhile();
    const i = numberUpTo(g, pending.length - 1);
    try {
      const status = await turn(backup, plan, pending[i]!, 2 + numberUpTo(g, 4));
      if (status === "done") pending.splice(i, 1);
    } catch (error) {
      if (!isBackupError(error, "TopicChangedError", "OffsetOutOfRangeError")) throw error;
      pending.splice(i, 1);
      failures += 1;
    }
  }
  return failures;
}

async function archived({ deps }: ModelBackup) {
  return archivedPartitions(deps, modelBackupId);
}

describe("F2 F3 F4 a partition that is read in ranges", () => {
  test(
    "comes out as one that is read as a whole: batches, totals, gaps, dropped batches",
    async () => {
      let most = 0;
      const property = fc.asyncProperty(fc.gen(), async (g) => {
        const log = grown(g);
        const [whole, inRanges] = [modelBackup(log, limits(g)), modelBackup(log, limits(g))];
        await wholeRun(whole);
        const plan = await planned(inRanges, split(g));
        most = Math.max(most, plan.ranges.length);
        await readInTurns(g, inRanges, plan);
        await commit(inRanges, plan);
        expect(await archived(inRanges)).toEqual(await archived(whole));
      });
      await fc.assert(property, runs);
      expect(most).toBeGreaterThan(5);
    },
    timeoutMs,
  );

  test(
    "C3 is continued by any later run, in ranges or not, however often it is cut short",
    async () => {
      const property = fc.asyncProperty(fc.gen(), async (g) => {
        const log = grown(g);
        const [whole, inRanges] = [modelBackup(log, limits(g)), modelBackup(log, limits(g))];
        for (let attempts = numberUpTo(g, 4); attempts > 0; attempts--) {
          const plan = await planned(inRanges, numberUpTo(g, 2) === 0 ? undefined : split(g));
          await readInTurns(g, inRanges, plan, undefined, numberUpTo(g, 8));
          grow(g, log, numberUpTo(g, 6));
        }
        const plan = await planned(inRanges, numberUpTo(g, 1) === 0 ? undefined : split(g));
        await readInTurns(g, inRanges, plan);
        await commit(inRanges, plan);
        await wholeRun(whole);
        const [first] = await lineagesIn(inRanges);
        expect(await batchesOf(inRanges)).toEqual(
          first === undefined ? [] : await batchesOf(whole),
        );
        expect(first?.next_offset).toBe((await lineagesIn(whole))[0]?.next_offset);
      });
      await fc.assert(property, runs);
    },
    timeoutMs,
  );

  test(
    "C4 C5 holds each batch once where two workers are at every range",
    async () => {
      const property = fc.asyncProperty(fc.gen(), async (g) => {
        const log = grown(g);
        const [whole, inRanges] = [modelBackup(log, limits(g)), modelBackup(log, limits(g))];
        await wholeRun(whole);
        const plan = await planned(inRanges, split(g));
        for (const work of pendingOf(plan)) {
          const untilDone = async () => {
            while ((await unlessConflict(turn(inRanges, plan, work, 3))) !== "done");
          };
          await Promise.all([untilDone(), untilDone()]);
        }
        await commit(inRanges, plan);
        expect(await archived(inRanges)).toEqual(await archived(whole));
      });
      await fc.assert(property, runs);
    },
    timeoutMs,
  );
});

describe("a log that changes under ranges that are being read", () => {
  test(
    "K1 F2 retention: what is missing is in a gap, and nothing else is",
    async () => {
      const property = fc.asyncProperty(fc.gen(), async (g) => {
        const log = grown(g);
        const before = [...log.batches];
        const start = log.logStart;
        const backup = modelBackup(log, limits(g));
        const plan = await planned(backup, split(g));
        await readInTurns(g, backup, plan, () => {
          const what = numberUpTo(g, 9);
          if (what === 0) log.deleteBefore(log.logStart + BigInt(numberUpTo(g, 20)));
          if (what === 1) log.elect();
        });
        await commit(backup, plan);
        const [lineage] = await lineagesIn(backup);
        const { gaps = [] } = lineage ?? {};
        const archived = await archivedBatches(backup, 1);
        expect(archived.map(({ base }) => base)).toEqual(ascending(archived));
        const held = new Map(archived.map(({ base, bytes }) => [base, bytes]));
        for (const { base, last, kind, bytes } of before) {
          if (held.has(base)) expect(held.get(base)).toEqual(bytes);
          else if (kind === "kept")
            expect(isWithin(gaps, base > start ? base : start, last)).toBe(true);
        }
        for (const gap of gaps) expect(gap.to_offset).toBeLessThanOrEqual(log.logStart);
        if (lineage !== undefined) expect(lineage.next_offset).toBe(log.end);
      });
      await fc.assert(property, runs);
    },
    timeoutMs,
  );

  test(
    "K2 K3 truncation: each lineage is one history, and the next run has all of the last one",
    async () => {
      let [failures, committed] = [0, 0];
      const property = fc.asyncProperty(fc.gen(), async (g) => {
        const log = grown(g);
        const backup = modelBackup(log, limits(g));
        for (let runs = 1 + numberUpTo(g, 1); runs > 0; runs--) {
          const plan = await planned(backup, split(g));
          const failed = await readInTurns(g, backup, plan, () => {
            const what = numberUpTo(g, 12);
            if (what === 0) log.truncate(BigInt(numberUpTo(g, Number(log.end))));
            if (what === 1) log.elect();
            if (what <= 3) grow(g, log, numberUpTo(g, 6));
          });
          failures += failed;
          if (numberUpTo(g, 3) === 0) continue;
          await commit(backup, plan);
          committed += 1;
          const work = plan.partitions[0]!;
          const state = (await lineagesIn(backup)).find(({ lineage }) => lineage === work.lineage)!;
          // What was not read to its end has told why.
          if (failed === 0) expect(state.next_offset).toBeGreaterThanOrEqual(work.end_offset);
        }
        await wholeRun(backup);
        const lineages = await lineagesIn(backup);
        for (const state of lineages) {
          const archived = await archivedBatches(backup, state.lineage);
          const expected = log.histories.map((history) => keptOf(log, history, state));
          expect(expected).toContainEqual(archived.map(({ bytes }) => bytes.toString("hex")));
        }
        const newest = lineages.at(-1);
        if (newest === undefined) return;
        const visible = log.batches.filter(
          ({ kind, last }) => kind === "kept" && last >= newest.start_offset,
        );
        expect(newest.next_offset).toBe(log.end);
        const archived = await archivedBatches(backup, newest.lineage);
        expect(archived.map(({ base }) => base)).toEqual(visible.map(({ base }) => base));
      });
      await fc.assert(property, runs);
      expect(failures).toBeGreaterThan(5);
      expect(committed).toBeGreaterThan(30);
    },
    timeoutMs,
  );

  const borders = { fetchBytes: 1_000, segmentBytes: 1_000_000 };

  /** Forty records, of which the last come anew once all from the fifth on are gone. */
  async function truncatedAfter(read: (works: PartitionWork[]) => PartitionWork[]) {
    const log = new LogModel();
    for (let i = 0; i < 40; i++) log.append(1);
    const backup = modelBackup(log, borders);
    const plan = await planned(backup, { workers, rangeOffsetsMin: 20 });
    const works = pendingOf(plan);
    expect(works).toHaveLength(2);
    for (const work of read(works)) await turn(backup, plan, work);
    log.truncate(5n);
    for (let i = 0; i < 60; i++) log.append(1);
    return { log, backup, plan, works };
  }

  test("K3 a range that meets what grew after a truncation fails, when all behind it was read", async () => {
    const { log, backup, plan, works } = await truncatedAfter(([, behind]) => [behind!]);
    const changed = { name: "TopicChangedError", message: expect.stringContaining("offset 5 ") };
    await expect(turn(backup, plan, works[0]!)).rejects.toMatchObject(changed);
    await commit(backup, plan);
    await wholeRun(backup);
    const archived = (await archivedBatches(backup, (await lineagesIn(backup)).length)).length;
    expect(archived).toBe(log.batches.length);
  });

  test("K3 a range that was not begun does not begin in another log than the plan's", async () => {
    const { backup, plan, works } = await truncatedAfter(() => []);
    const changed = { name: "TopicChangedError" };
    await expect(turn(backup, plan, works[1]!)).rejects.toMatchObject(changed);
  });
});

/** What a lineage has to hold of a history of the log: in hexadecimal, in order. */
function keptOf(log: LogModel, history: readonly LoggedBatch[], state: LineageState): string[] {
  return history
    .filter(({ base, last }) => last >= state.start_offset && base < state.next_offset)
    .filter((batch) => batch.kind === "kept" && !log.compacted.has(batch))
    .map(({ bytes }) => bytes.toString("hex"));
}

function ascending(batches: readonly { readonly base: bigint }[]): bigint[] {
  return [...new Set(batches.map(({ base }) => base))].sort((a, b) => (a < b ? -1 : 1));
}

/** Offsets `first` to `last`, both included. */
function isWithin(gaps: readonly Gap[], first: bigint, last: bigint): boolean {
  return gaps.some(({ from_offset, to_offset }) => from_offset <= first && last < to_offset);
}

async function batchesOf(backup: ModelBackup) {
  return (await archivedBatches(backup, 1)).map(({ base, bytes }) => [base, bytes.toString("hex")]);
}

/** Of two workers on one range, one finds the other's checkpoint where its own should be. */
async function unlessConflict<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isBackupError(error, "BackupConflictError")) return undefined;
    throw error;
  }
}
