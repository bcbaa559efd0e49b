/** Translation through stored maps, against a model that looks at every record by itself. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { findRestore } from "#core/offsets/choose-restore.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import { byOffsetMap } from "#core/offsets/strategies/offset-map.ts";
import { OffsetMapBuilder, type OffsetRun } from "#core/restore/offset-map.ts";
import { backupId } from "#test/support/catalog-documents.ts";
import { knownBackup, noDeadline, storeRestore } from "#test/support/known-groups.ts";

interface SourceRecord {
  readonly offset: bigint;
  readonly timestamp: bigint;
}

interface Source {
  /** What a read_committed consumer could read and the backup archived, in order. */
  readonly records: readonly SourceRecord[];
  readonly start: bigint;
  readonly end: bigint;
  readonly gaps: readonly { from_offset: bigint; to_offset: bigint }[];
  /** Where the log began, before anything of it was deleted. */
  readonly first: bigint;
}

/** A transaction or a plain batch: records, of which compaction took some, and perhaps a marker. */
const anyBatch = fc.record({
  records: fc.array(fc.record({ timestamp: fc.nat(30), isCompacted: fc.boolean() }), {
    maxLength: 6,
  }),
  end: fc.constantFrom("plain", "commit", "abort"),
});

const anySource: fc.Arbitrary<Source> = fc
  .record({
    batches: fc.array(anyBatch, { maxLength: 12 }),
    deletedPrefix: fc.nat(12),
    gap: fc.option(fc.tuple(fc.nat(40), fc.nat(8)), { nil: undefined }),
    unread: fc.nat(4),
    first: fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 62n })),
  })
  .map(({ batches, deletedPrefix, gap, unread, first }) => {
    let offset = first;
    const records: SourceRecord[] = [];
    for (const { records: drawn, end } of batches) {
      for (const { timestamp, isCompacted } of drawn) {
        const isKept = !isCompacted && end !== "abort";
        if (isKept) records.push({ offset, timestamp: BigInt(timestamp) });
        offset += 1n;
      }
      if (end !== "plain") offset += 1n;
    }
    const start = first + BigInt(deletedPrefix);
    const end = offset + BigInt(unread) > start ? offset + BigInt(unread) : start;
    const gaps =
      gap === undefined
        ? []
        : [{ from_offset: start + BigInt(gap[0]), to_offset: start + BigInt(gap[0] + gap[1]) }];
    const isArchived = ({ offset }: SourceRecord) =>
      offset >= start &&
      !gaps.some(({ from_offset, to_offset }) => offset >= from_offset && offset < to_offset);
    return { records: records.filter(isArchived), start, end, gaps, first };
  });

const anyRestore = fc.record({
  start: fc.option(fc.nat(30), { nil: undefined }),
  end: fc.option(fc.nat(30), { nil: undefined }),
  /** Somebody else's records between two restores into one topic. */
  foreign: fc.nat(5),
  /** How many records come in a batch, and after which batches a part of the map ends. */
  cuts: fc.array(fc.record({ count: fc.integer({ min: 1, max: 7 }), isPartEnd: fc.boolean() }), {
    minLength: 1,
    maxLength: 9,
  }),
});
type AnyRestore = typeof anyRestore extends fc.Arbitrary<infer T> ? T : never;

interface Restored {
  readonly places: readonly { readonly source: bigint; readonly target: bigint }[];
  readonly start: bigint;
  readonly end: bigint;
}

function restoreInto(
  source: Source,
  { start, end, foreign }: AnyRestore,
  logEnd: bigint,
): Restored {
  const base = logEnd + BigInt(foreign);
  const wanted = source.records.filter(
    ({ timestamp }) =>
      (start === undefined || timestamp >= BigInt(start)) &&
      (end === undefined || timestamp <= BigInt(end)),
  );
  const places = wanted.map(({ offset }, i) => ({ source: offset, target: base + BigInt(i) }));
  return { places, start: base, end: base + BigInt(places.length) };
}

/** As the worker of a restore keeps it: batch by batch, a part at every checkpoint. */
function mapOf({ places }: Restored, { cuts }: AnyRestore): OffsetRun[][] {
  const builder = new OffsetMapBuilder();
  const parts: OffsetRun[][] = [];
  for (let i = 0, step = 0; i < places.length; step++) {
    const { count: most, isPartEnd } = cuts[step % cuts.length]!;
    const first = places[i]!;
    let count = 1;
    while (count < most && places[i + count]?.source === first.source + BigInt(count)) count++;
    builder.add(first.source, first.target, count);
    i += count;
    if (isPartEnd) parts.push(builder.take());
  }
  const rest = builder.take();
  return rest.length > 0 ? [...parts, rest] : parts;
}

/** The definition, record by record (R3). */
function expected(source: Source, { places, end }: Restored, offset: bigint) {
  const next = places.find((place) => place.source >= offset);
  if (next === undefined) {
    return { target: end, reason: offset > source.end ? "beyond-archive" : "restored-end" };
  }
  const reason = next.source === offset ? "exact" : "next-restored";
  return { target: next.target, reason };
}

test("R3, R8: every position of every history goes where a look at each record puts it", async () => {
  const property = fc.asyncProperty(
    anySource,
    fc.array(anyRestore, { minLength: 1, maxLength: 3 }),
    fc.infiniteStream(fc.nat()),
    async (source, restores, order) => {
      const lineage = { start_offset: source.start, next_offset: source.end };
      const gaps = source.gaps.map((gap) => ({
        ...{ ...gap, reason: "retention" as const, run_id: "run-0", detected_at: 0n },
      }));
      const backup = await knownBackup([{ groups: {} }], [[{ ...lineage, gaps }]]);
      const offsets: bigint[] = [];
      for (let at = source.first; at <= source.end + 2n; at++) offsets.push(at);
      const positions = offsets
        .map((offset, i): GroupPosition & { rank: number } => ({
          ...{ group: `group-${i}`, source_topic: "orders", source_partition: 0, offset },
          ...{ metadata: "", read_at: 0n, from: "current", rank: order.next().value! },
        }))
        .sort((a, b) => a.rank - b.rank);

      let logEnd = 0n;
      for (const [number, drawn] of restores.entries()) {
        const restored = restoreInto(source, drawn, logEnd);
        logEnd = restored.end;
        const { start, end } = drawn;
        const window = {
          ...(start !== undefined && { start: BigInt(start) }),
          ...(end !== undefined && { end: BigInt(end) }),
        };
        const restoreId = `restore-${number}`;
        const partition = {
          startOffset: restored.start,
          sourceEndOffset: source.end,
          map: mapOf(restored, drawn),
        };
        await storeRestore(backup, { restoreId, window, partitions: [partition] });
        const found = await findRestore(backup, backupId, restoreId);
        const deps = { ...backup, backup_id: backupId, deadline: noDeadline };
        const translated = await byOffsetMap(deps, positions, found.partitions);
        const byOffset = translated
          .map(({ position, topic, partition, target_offset: target, reason }) => ({
            ...{ offset: position.offset, topic, partition, target, reason },
          }))
          .sort((a, b) => (a.offset < b.offset ? -1 : 1));
        const at = { topic: "restored", partition: 0 };
        expect(byOffset).toEqual(
          offsets.map((offset) => ({ offset, ...at, ...expected(source, restored, offset) })),
        );
      }
    },
  );
  await fc.assert(property, { numRuns: 2_000 });
});
