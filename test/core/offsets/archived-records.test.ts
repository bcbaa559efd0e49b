/** Records at positions of a backed-up partition, against all of its records one by one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { lastOffsetOf, readBatchHeader } from "#core/kafka/record-batch.ts";
import { archivedRecords, newestManifest } from "#core/offsets/archived-records.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  anyOptions,
  anySource,
  type SourceBatch,
  type SourceOptions,
  wantedRecords,
} from "#test/core/restore/source-model.ts";
import { collect } from "#test/support/collect.ts";
import {
  type SyntheticBackup,
  syntheticBackup,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

/** The batches in segments of at most `perSegment`, in runs of at most two segments. */
async function backupOf(
  source: readonly SourceBatch[],
  { startOffset, gaps }: SourceOptions,
  perSegment: number,
): Promise<SyntheticBackup> {
  const backup = syntheticBackup();
  const batches = source.map(({ bytes }) => bytes);
  const segments: Buffer[][] = [];
  for (let i = 0; i < batches.length; i += perSegment) {
    segments.push(batches.slice(i, i + perSegment));
  }
  for (let i = 0; i < segments.length; i += 2) {
    const isFirst = i === 0;
    await backup.addRun({
      codec: "none",
      partitions: [
        {
          segments: segments.slice(i, i + 2),
          ...(isFirst && { startOffset }),
          gaps: isFirst ? gaps.map(({ from, to }) => ({ from_offset: from, to_offset: to })) : [],
        },
      ],
    });
  }
  return backup;
}

/** What the first run may say: it began to read, and saw gaps, within what it read. */
function withinFirstRun(
  options: SourceOptions,
  source: readonly SourceBatch[],
  perSegment: number,
): SourceOptions {
  const end = lastOffsetOf(readBatchHeader(source.slice(0, 2 * perSegment).at(-1)!.bytes)) + 1n;
  const startOffset = options.startOffset < end ? options.startOffset : end;
  return { ...options, startOffset, gaps: options.gaps.filter(({ to }) => to <= end) };
}

test("R3: each position gets the first restored records at or after it", async () => {
  await fc.assert(
    fc.asyncProperty(
      anySource.filter((source) => source.length > 0),
      anyOptions,
      fc.integer({ min: 1, max: 4 }),
      fc.uniqueArray(fc.bigInt({ min: 0n, max: 80n }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 5 }),
      fc.option(fc.bigInt({ min: 0n, max: 60n }), { nil: 2n ** 62n }),
      async (source, drawn, perSegment, unordered, count, to) => {
        const options = withinFirstRun(drawn, source, perSegment);
        const backup = await backupOf(source, options, perSegment);
        const positions = unordered.sort((a, b) => Number(a - b));
        const found = await collect(
          archivedRecords(
            backup,
            await newestManifest(backup.catalog, backup.backupId),
            { topic: "orders", partition: 0, lineage: 1, window: options.window, to },
            positions,
            count,
            ({ offset, timestamp }) => ({ offset, timestamp }),
          ),
        );
        const wanted = wantedRecords(source, { ...options, includeOffsetHeaders: false })
          .filter(({ offset }) => offset < to)
          .map(({ offset, timestamp }) => ({ offset, timestamp }));
        const expected = positions.map((position) => ({
          position,
          records: wanted.filter(({ offset }) => offset >= position).slice(0, count),
        }));
        expect(found).toEqual(expected);
      },
    ),
    { numRuns: 60 },
  );
});

test("of the segments that hold no wanted record nothing is read", async () => {
  const backup = syntheticBackup();
  const segments = [0n, 30n, 60n].map((base) => syntheticBatches(base, 10));
  const { manifest } = await backup.addRun({ partitions: [{ segments }] });
  const read: string[] = [];
  const storage: StorageBackend = {
    ...backup.storage,
    getRange: (key, position, length) => {
      read.push(key);
      return backup.storage.getRange(key, position, length);
    },
  };
  const from = { topic: "orders", partition: 0, lineage: 1, window: {}, to: 90n };
  const offsetOf = ({ offset }: { offset: bigint }) => offset;
  const found = await collect(
    archivedRecords({ ...backup, storage }, manifest, from, [40n, 41n], 1, offsetOf),
  );
  expect(found.map(({ records }) => records)).toEqual([[40n], [41n]]);
  expect(read).toEqual([
    expect.stringMatching(/segment-0*30-.*\.index$/),
    expect.stringMatching(/segment-0*30-.*\.zst$/),
  ]);
});

test("a backup that is not there is named", async () => {
  await expect(newestManifest(syntheticBackup().catalog, "none")).rejects.toMatchObject({
    name: "BackupNotFoundError",
  });
});

test("a lineage that the backup does not hold is named", async () => {
  const backup = syntheticBackup();
  const { manifest } = await backup.addRun({ partitions: [] });
  const reading = collect(
    archivedRecords(
      backup,
      manifest,
      { topic: "orders", partition: 0, lineage: 7, window: {}, to: 1n },
      [0n],
      1,
      () => undefined,
    ),
  );
  await expect(reading).rejects.toMatchObject({
    name: "BackupNotFoundError",
    message: expect.stringContaining("no lineage 7 of orders-0"),
  });
});
