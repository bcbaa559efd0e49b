/** Any source of a restore as its records, one by one, and as the batches that hold them. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import type { LineageState } from "#core/catalog/manifest.ts";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import {
  type BatchCodec,
  batchCodecs,
  deleteHorizonBit,
  logAppendTimeBit,
  transactionalBit,
} from "#core/kafka/record-batch.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import { lineageOf as lineageDocument } from "#test/support/catalog-documents.ts";

export const at = { topic: "orders", partition: 3 };

export interface ModelRecord {
  readonly offset: bigint;
  /** As a consumer of the source sees it. */
  readonly timestamp: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

export interface SourceBatch {
  readonly bytes: Buffer;
  readonly records: readonly ModelRecord[];
}

export interface SourceOptions {
  readonly window: TimeWindow;
  readonly startOffset: bigint;
  readonly gaps: readonly { readonly from: bigint; readonly to: bigint }[];
  readonly maxMessageBytes: number;
  readonly coalesceBelowBytes: number | undefined;
  readonly includeOffsetHeaders: boolean;
}

/** `horizon`: the cleaner put a delete horizon in the place of the base timestamp (KIP-534). */
type BatchKind = "plain" | "transactional" | "append time" | "horizon";

interface BatchPlan {
  readonly codec: BatchCodec;
  readonly kind: BatchKind;
  /** Offsets at the end that compaction emptied. */
  readonly trailing: number;
  readonly records: readonly (Partial<NewRecord> & {
    readonly delta: number;
    readonly timestamp: bigint;
  })[];
}

const appendTime = 12n;
const horizon = 1_700_000_000_000n;

export function sourceBatch(baseOffset: bigint, plan: BatchPlan): SourceBatch {
  const { codec, kind, trailing } = plan;
  const records = plan.records.map(({ delta, timestamp, key, value, headers }) => ({
    timestamp,
    key: key ?? null,
    value: value ?? null,
    headers: headers ?? [],
    offsetDelta: delta,
  }));
  const bytes = encodeBatch(records, {
    codec,
    baseOffset,
    partitionLeaderEpoch: 5,
    producerId: 77n,
    producerEpoch: 1,
    baseSequence: 9,
    lastOffsetDelta: records.at(-1)!.offsetDelta + trailing,
    ...(kind === "transactional" && { flags: transactionalBit }),
    ...(kind === "append time" && { flags: logAppendTimeBit, maxTimestamp: appendTime }),
    ...(kind === "horizon" && { flags: deleteHorizonBit, baseTimestamp: horizon }),
  });
  return {
    bytes,
    records: records.map(({ offsetDelta, timestamp, key, value, headers }) => ({
      offset: baseOffset + BigInt(offsetDelta),
      timestamp: kind === "append time" ? appendTime : timestamp,
      key: key as Buffer | null,
      value: value as Buffer | null,
      headers: headers as ModelRecord["headers"],
    })),
  };
}

/** The records that a restore must bring, decided for each by itself. */
export function wantedRecords(
  source: readonly SourceBatch[],
  { window, startOffset, gaps, includeOffsetHeaders }: SourceOptions,
): ModelRecord[] {
  return source
    .flatMap(({ records }) => records)
    .map((record) => (includeOffsetHeaders ? withOffsetHeaders(record) : record))
    .filter(
      ({ offset, timestamp }) =>
        (window.start === undefined || timestamp >= window.start) &&
        (window.end === undefined || timestamp <= window.end) &&
        offset >= startOffset &&
        !gaps.some(({ from, to }) => offset >= from && offset < to),
    );
}

function withOffsetHeaders(record: ModelRecord): ModelRecord {
  const headers = [
    ...record.headers,
    { key: "x-original-offset", value: littleEndian(record.offset) },
    { key: "x-original-timestamp", value: littleEndian(record.timestamp) },
  ];
  return { ...record, headers };
}

/** Byte by byte, lowest first. */
export function littleEndian(value: bigint): Buffer {
  const bits = BigInt.asUintN(64, value);
  return Buffer.from(Array.from({ length: 8 }, (_, i) => Number((bits >> BigInt(8 * i)) & 0xffn)));
}

export function lineageOf({ startOffset, gaps }: SourceOptions): LineageState {
  return lineageDocument({
    start_offset: startOffset,
    next_offset: 2n ** 62n,
    gaps: gaps.map(({ from, to }) => ({
      from_offset: from,
      to_offset: to,
      reason: "retention",
      run_id: "run-00001",
      detected_at: 0n,
    })),
  });
}

/** Bytes that no codec shrinks, the same ones for the same number. */
function noise(seed: number, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 64 < length; i++) {
    blocks.push(createHash("sha512").update(`${seed} ${i}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

const anyBytes = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
);

const anyValue = fc.oneof(
  { weight: 3, arbitrary: anyBytes },
  fc.nat(2500).map((length) => Buffer.alloc(length, "abcdef")),
  fc.tuple(fc.nat(99), fc.nat(2500)).map(([seed, length]) => noise(seed, length)),
);

/** Around the bounds of the windows below, and years apart. */
const anyTimestamp = fc.oneof(
  { weight: 5, arbitrary: fc.bigInt({ min: -1n, max: 20n }) },
  fc.bigInt({ min: -1n, max: 2n ** 62n }),
);

const anyHeaderKey = fc.oneof(
  { weight: 3, arbitrary: fc.string({ maxLength: 4 }) },
  fc.constant("x-original-offset"),
);

const anyRecord = fc.record({
  /** Offsets that compaction emptied before it. */
  hole: fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.nat(4)),
  timestamp: anyTimestamp,
  key: anyBytes,
  value: anyValue,
  headers: fc.array(fc.record({ key: anyHeaderKey, value: anyBytes }), { maxLength: 2 }),
});

const anyBatch = fc.record({
  skipped: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(5)),
  codec: fc.constantFrom(...batchCodecs),
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constant<BatchKind>("plain") },
    fc.constantFrom<BatchKind>("transactional", "append time", "horizon"),
  ),
  trailing: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.nat(3)),
  records: fc.array(anyRecord, { minLength: 1, maxLength: 8 }),
});

/** Batches of a partition, some of their offsets empty, from anywhere in its log on. */
export const anySource = fc
  .tuple(fc.constantFrom(0n, 3n, 2n ** 40n), fc.array(anyBatch, { maxLength: 10 }))
  .map(([first, plans]) => {
    const batches: SourceBatch[] = [];
    let offset = first;
    for (const { skipped, records, ...plan } of plans) {
      offset += BigInt(skipped);
      let delta = -1;
      const placed = records.map(({ hole, ...record }) => {
        delta += hole + 1;
        return { ...record, delta };
      });
      batches.push(sourceBatch(offset, { ...plan, records: placed }));
      offset += BigInt(delta + 1 + plan.trailing);
    }
    return batches;
  });

const anyBound = fc.option(fc.bigInt({ min: -1n, max: 20n }), { nil: undefined });
/** Most offsets of a source that begins at 0 or 3 lie below. */
const anyOffset = fc.bigInt({ min: 0n, max: 60n });

export const anyOptions: fc.Arbitrary<SourceOptions> = fc.record({
  window: fc.oneof(
    { weight: 2, arbitrary: fc.constant<TimeWindow>({}) },
    fc.record({ start: anyBound, end: anyBound }).map(
      ({ start, end }): TimeWindow => ({
        ...(start !== undefined && { start }),
        ...(end !== undefined && { end }),
      }),
    ),
  ),
  startOffset: fc.oneof({ weight: 2, arbitrary: fc.constant(0n) }, anyOffset),
  gaps: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    fc.array(
      fc.tuple(anyOffset, fc.bigInt({ min: 1n, max: 9n })).map(([from, count]) => ({
        from,
        to: from + count,
      })),
      { maxLength: 3 },
    ),
  ),
  // The largest record, with the header of a batch of its own, takes some 2,750 bytes.
  maxMessageBytes: fc.oneof(fc.integer({ min: 2800, max: 6000 }), fc.constant(1024 * 1024)),
  coalesceBelowBytes: fc.constantFrom(undefined, undefined, 0, 500),
  includeOffsetHeaders: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true)),
});
