/** What a restore sends, against a model that looks at every record by itself. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import {
  type BatchCodec,
  batchCodecs,
  batchHeaderBytes,
  isDense,
  isLogAppendTime,
  lastOffsetOf,
  readBatchHeader,
} from "#core/kafka/record-batch.ts";
import { decodeRecords } from "#core/kafka/records.ts";
import { type OutputBatch, OutputBatches } from "#core/restore/output-batches.ts";
import { validOffsets } from "#core/restore/source-range.ts";
import {
  anyOptions,
  anySource,
  at,
  lineageOf,
  type ModelRecord,
  type SourceBatch,
  type SourceOptions,
  sourceBatch,
  wantedRecords,
} from "#test/core/restore/source-model.ts";

interface Run {
  readonly outputs: readonly OutputBatch[];
  /** Source offsets of the records that were told as skipped. */
  readonly skipped: readonly bigint[];
  readonly missingToSkip: bigint;
}

interface From {
  /** Of the checkpoint: batches that end before are not read again. */
  readonly offset: bigint;
  readonly skipRecords: number;
}

const beginning: From = { offset: 0n, skipRecords: 0 };

function run(source: readonly SourceBatch[], options: SourceOptions, from = beginning): Run {
  const skipped: bigint[] = [];
  const batches = new OutputBatches({
    at,
    window: options.window,
    valid: validOffsets(lineageOf(options), from.offset),
    maxMessageBytes: options.maxMessageBytes,
    coalesceBelowBytes: options.coalesceBelowBytes,
    includeOffsetHeaders: options.includeOffsetHeaders,
    skipRecords: BigInt(from.skipRecords),
    onSkipped: (skippedRun) => skipped.push(...offsetsOf([skippedRun])),
  });
  const outputs: OutputBatch[] = [];
  for (const { bytes } of source) {
    const header = readBatchHeader(bytes);
    if (lastOffsetOf(header) < from.offset) continue;
    outputs.push(...batches.push(Buffer.from(bytes), header));
  }
  outputs.push(...batches.flush(), ...batches.flush());
  return { outputs, skipped, missingToSkip: batches.missingToSkip };
}

function offsetsOf(runs: OutputBatch["sources"]): bigint[] {
  return runs.flatMap(({ offset, count }) =>
    Array.from({ length: count }, (_, i) => offset + BigInt(i)),
  );
}

/** The records of an output batch, each with the source offset that the batch says it has. */
function recordsOf({ batch, sources }: OutputBatch): ModelRecord[] {
  const header = checkBatch(batch, 0, at);
  const offsets = offsetsOf(sources);
  const body = bodyOf(header, batch, 0, at, batchBodyBytesMax);
  const records = decodeRecords(header, body, at);
  expect(records).toHaveLength(offsets.length);
  return records.map(({ timestamp, key, value, headers }, i) => ({
    offset: offsets[i]!,
    timestamp,
    key,
    value,
    headers: headers.map(({ key, value }) => ({ key: key.toString(), value })),
  }));
}

const numRuns = 200;

test("R3 R9: every wanted record comes once, in order, unchanged, with its source offset", () => {
  fc.assert(
    fc.property(anySource, anyOptions, (source, options) => {
      const { outputs, skipped, missingToSkip } = run(source, options);
      expect(outputs.flatMap(recordsOf)).toEqual(wantedRecords(source, options));
      expect({ skipped, missingToSkip }).toEqual({ skipped: [], missingToSkip: 0n });
    }),
    { numRuns },
  );
});

test("R6: a broker takes every batch: its size, its count, dense offsets, create times", () => {
  fc.assert(
    fc.property(anySource, anyOptions, (source, options) => {
      for (const { batch, recordCount } of run(source, options).outputs) {
        const header = checkBatch(batch, 0, at);
        expect(header.sizeInBytes).toBe(batch.length);
        expect(batch.length).toBeLessThanOrEqual(options.maxMessageBytes);
        expect(header.recordCount).toBe(recordCount);
        expect(recordCount).toBeGreaterThan(0);
        expect(isDense(header) && !isLogAppendTime(header)).toBe(true);
        const body = bodyOf(header, batch, 0, at, batchBodyBytesMax);
        const times = decodeRecords(header, body, at).map(({ timestamp }) => timestamp);
        expect(header.maxTimestamp).toBe(times.reduce((a, b) => (a > b ? a : b)));
      }
    }),
    { numRuns },
  );
});

test("R1: nextOffset parts the wanted records into those up to a batch and those after it", () => {
  fc.assert(
    fc.property(anySource, anyOptions, (source, options) => {
      const wanted = wantedRecords(source, options).map(({ offset }) => offset);
      let count = 0;
      for (const { nextOffset, recordCount } of run(source, options).outputs) {
        count += recordCount;
        expect(wanted.filter((offset) => offset < nextOffset)).toHaveLength(count);
      }
    }),
    { numRuns },
  );
});

test("a batch goes as it is, to the byte, exactly when nothing of it must change", () => {
  fc.assert(
    fc.property(anySource, anyOptions, (source, options) => {
      const coalesceBelow = options.coalesceBelowBytes ?? 4096;
      const isRaw = ({ bytes, records }: SourceBatch) => {
        const header = readBatchHeader(bytes);
        return (
          !options.includeOffsetHeaders &&
          bytes.length >= coalesceBelow &&
          bytes.length <= options.maxMessageBytes &&
          options.window.start === undefined &&
          isDense(header) &&
          !isLogAppendTime(header) &&
          wantedRecords([{ bytes, records }], options).length === records.length
        );
      };
      const raw = run(source, options).outputs.filter((output) => output.isRaw);
      expect(raw.map(({ batch }) => batch)).toEqual(source.filter(isRaw).map(({ bytes }) => bytes));
    }),
    { numRuns },
  );
});

test("R1: resumed at any record, after any checkpoint, the rest is the same", () => {
  fc.assert(
    fc.property(anySource, anyOptions, fc.nat(), fc.nat(), (source, options, one, other) => {
      const wanted = wantedRecords(source, options);
      // A checkpoint lies after a batch; the target may hold more than it says.
      const { outputs } = run(source, options);
      const checkpoints = [{ count: 0, offset: 0n }];
      for (const { recordCount, nextOffset } of outputs) {
        checkpoints.push({ count: checkpoints.at(-1)!.count + recordCount, offset: nextOffset });
      }
      const { count, offset } = checkpoints[one % checkpoints.length]!;
      const done = count + (other % (wanted.length - count + 1));
      const resumed = run(source, options, { offset, skipRecords: done - count });
      expect(resumed.skipped).toEqual(wanted.slice(count, done).map((record) => record.offset));
      expect(resumed.outputs.flatMap(recordsOf)).toEqual(wanted.slice(done));
      expect(resumed.missingToSkip).toBe(0n);
    }),
    { numRuns },
  );
});

test("R1: resumed from what was skipped, as from a checkpoint that it made, the rest is the same", () => {
  fc.assert(
    fc.property(anySource, anyOptions, fc.nat(), (source, options, choice) => {
      const wanted = wantedRecords(source, options);
      const done = choice % (wanted.length + 1);
      const offset = done === 0 ? 0n : wanted[done - 1]!.offset + 1n;
      const resumed = run(source, options, { offset, skipRecords: 0 });
      expect(resumed.outputs.flatMap(recordsOf)).toEqual(wanted.slice(done));
    }),
    { numRuns },
  );
});

test("R2: a target that holds more records than the output has is told by how many", () => {
  fc.assert(
    fc.property(anySource, anyOptions, fc.nat(5), (source, options, more) => {
      const wanted = wantedRecords(source, options);
      const told = run(source, options, { offset: 0n, skipRecords: wanted.length + more });
      expect(told.outputs).toEqual([]);
      expect(told.missingToSkip).toBe(BigInt(more));
    }),
  );
});

describe("limits", () => {
  const noWindow: SourceOptions = {
    window: {},
    startOffset: 0n,
    gaps: [],
    maxMessageBytes: 1024 * 1024,
    coalesceBelowBytes: undefined,
    includeOffsetHeaders: false,
  };

  function ofValues(codec: BatchCodec, values: readonly Buffer[], baseOffset = 0n): SourceBatch {
    const records = values.map((value, i) => ({ delta: i, timestamp: 1n, value }));
    return sourceBatch(baseOffset, { codec, kind: "plain", trailing: 0, records });
  }

  test("a coalesced batch has at most 10,000 records and 1 MiB of them", () => {
    const short = Array.from({ length: 7000 }, () => Buffer.from("x"));
    const many = [0n, 7000n, 14_000n].map((base) => ofValues("zstd", short, base));
    const small = { ...noWindow, coalesceBelowBytes: 1024 * 1024 };
    expect(run(many, small).outputs.map(({ recordCount }) => recordCount)).toEqual([
      10_000, 10_000, 1000,
    ]);
    const long = Array.from({ length: 9 }, () => Buffer.alloc(200_000));
    const roomy = { ...noWindow, maxMessageBytes: 64 * 1024 * 1024 };
    const large = run([ofValues("zstd", long)], roomy);
    expect(large.outputs.map(({ recordCount }) => recordCount)).toEqual([5, 4]);
  });

  test.each(batchCodecs)("R6: a %s batch that is too large is split until it fits", (codec) => {
    const values = Array.from({ length: 20 }, () => randomBytes(300));
    const source = [ofValues(codec, values)];
    const { outputs } = run(source, { ...noWindow, maxMessageBytes: 1000 });
    expect(outputs.length).toBeGreaterThan(6);
    expect(outputs.every(({ batch }) => batch.length <= 1000)).toBe(true);
    expect(outputs.flatMap(recordsOf).map(({ value }) => value)).toEqual(values);
  });

  test("R6: a record that fits only compressed goes compressed, one that fits only as it is, so", () => {
    const options = { ...noWindow, maxMessageBytes: 1100 };
    const zeros = run([ofValues("gzip", [Buffer.alloc(5000)])], options).outputs[0]!;
    expect(readBatchHeader(zeros.batch).attributes & 7).toBe(batchCodecs.indexOf("gzip"));
    const random = ofValues("gzip", [randomBytes(1025)]);
    expect(random.bytes.length).toBeGreaterThan(1100);
    const plain = run([random], options).outputs[0]!;
    expect(plain.batch.length).toBeLessThanOrEqual(1100);
    expect(readBatchHeader(plain.batch).attributes & 7).toBe(batchCodecs.indexOf("none"));
  });

  test("R6: a single record that does not fit at all is named by its offset", () => {
    const source = [ofValues("lz4", [randomBytes(10), randomBytes(2000), randomBytes(10)], 40n)];
    const act = () => run(source, { ...noWindow, maxMessageBytes: 1000 });
    expect(act).toThrowError(
      expect.objectContaining({
        name: "RecordTooLargeError",
        message: expect.stringContaining("orders-3: the record at offset 41 "),
      }),
    );
  });

  test("a window that wants nothing of a damaged body does not hide the damage", () => {
    const { bytes } = ofValues("none", [Buffer.from("a"), Buffer.from("b")]);
    bytes[batchHeaderBytes] = 0x7e;
    const options: SourceOptions = { ...noWindow, window: { end: 0n } };
    expect(() => run([{ bytes, records: [] }], options)).toThrowError(
      expect.objectContaining({ name: "CorruptRecordBatchError" }),
    );
  });
});
