/** What the demo claims, each claim held against what Kafka's own tools found. */
import type { SeenRecord } from "./seen-records.ts";
import type { BatchRange } from "./source-log.ts";

export interface Findings {
  /** What the producer says it wrote. */
  readonly produced: { readonly good: number; readonly faulty: number };
  /** The time of the last good record: what was restored up to. */
  readonly bound: bigint;
  readonly source: readonly SeenRecord[];
  /** Restored without a bound. */
  readonly everything: readonly SeenRecord[];
  /** Restored up to the bound. */
  readonly restored: readonly SeenRecord[];
  readonly sourceBatches: readonly BatchRange[];
}

export interface Claim {
  readonly text: string;
  readonly holds: boolean;
}

const numbers = new Intl.NumberFormat("en-US");

export function claimsAbout(findings: Findings): Claim[] {
  const { produced, bound, source, everything, restored } = findings;
  const good = source.filter(({ isFaulty }) => !isFaulty);
  const faulty = source.filter(({ isFaulty }) => isFaulty);
  const cut = cutBatches(findings);
  const release = cut.find(({ lastKept, firstCut }) => lastKept === bound && firstCut > bound);
  const late = good.filter(behindFirstOf(faulty)).length;
  return [
    {
      text:
        `the backup holds the ${numbers.format(faulty.length)} faulty orders: ` +
        "restored without a bound, all records come back",
      holds:
        faulty.length === produced.faulty && faulty.length > 0 && areIdentical(everything, source),
    },
    {
      text: "none of the faulty orders is in the restore to the point in time",
      holds: restored.length > 0 && restored.every(({ isFaulty }) => !isFaulty),
    },
    {
      text:
        `all ${numbers.format(good.length)} good orders are: ` +
        "key, value, headers, timestamp and order, byte for byte",
      holds: good.length === produced.good && areIdentical(restored, good),
    },
    {
      text: `${late} of them arrived late, behind faulty ones: the cut is by time, not by offset`,
      holds: late > 0,
    },
    {
      text: `${cut.length} record batches lie across the bound, and were cut inside`,
      holds: cut.length > 0 && cut.every(({ keptInRestore }) => keptInRestore),
    },
    {
      text: releaseText(release),
      holds: release !== undefined && release.firstCut - release.lastKept === 1n,
    },
  ];
}

function releaseText(release: CutBatch | undefined): string {
  const pair = "the last restored order and the first faulty one";
  if (release === undefined) return `${pair} are in one batch`;
  const { partition, baseOffset, lastOffset } = release.batch;
  const apartMs = release.firstCut - release.lastKept;
  return (
    `one of them is at ${partition}:${baseOffset}-${lastOffset} (partition:offsets); in it, ` +
    `${pair} are ${apartMs} ms apart`
  );
}

/** The same records in the same order in each partition; offsets may differ. */
function areIdentical(found: readonly SeenRecord[], wanted: readonly SeenRecord[]): boolean {
  return (
    found.length === wanted.length &&
    found.every(
      ({ partition, content }, i) =>
        partition === wanted[i]!.partition && content === wanted[i]!.content,
    )
  );
}

function behindFirstOf(records: readonly SeenRecord[]): (record: SeenRecord) => boolean {
  const firstOffsets = new Map<number, bigint>();
  for (const { partition, offset } of records) {
    if (!firstOffsets.has(partition)) firstOffsets.set(partition, offset);
  }
  return ({ partition, offset }) => {
    const first = firstOffsets.get(partition);
    return first !== undefined && first < offset;
  };
}

interface CutBatch {
  readonly batch: BatchRange;
  /** The latest time that is not past the bound, and the earliest that is. */
  readonly lastKept: bigint;
  readonly firstCut: bigint;
  /** Whether the batch's records up to the bound are in the restore, side by side. */
  readonly keptInRestore: boolean;
}

/** Batches with records on both sides of the bound. */
function cutBatches({ bound, source, restored, sourceBatches }: Findings): CutBatch[] {
  return sourceBatches.flatMap((batch): CutBatch[] => {
    if (batch.maxTimestamp <= bound) return [];
    const records = source.filter(
      ({ partition, offset }) =>
        partition === batch.partition && offset >= batch.baseOffset && offset <= batch.lastOffset,
    );
    const kept = records.filter(({ timestamp }) => timestamp <= bound);
    if (kept.length === 0) return [];
    const times = (some: readonly SeenRecord[]) => some.map(({ timestamp }) => timestamp);
    const later = records.filter(({ timestamp }) => timestamp > bound);
    return [
      {
        batch,
        lastKept: times(kept).reduce((a, b) => (a > b ? a : b)),
        firstCut: times(later).reduce((a, b) => (a < b ? a : b)),
        keptInRestore: holdsInOrder(restored, kept),
      },
    ];
  });
}

function holdsInOrder(records: readonly SeenRecord[], wanted: readonly SeenRecord[]): boolean {
  const [first] = wanted;
  const at = records.findIndex(
    ({ partition, content }) => partition === first?.partition && content === first.content,
  );
  return at >= 0 && areIdentical(records.slice(at, at + wanted.length), wanted);
}
