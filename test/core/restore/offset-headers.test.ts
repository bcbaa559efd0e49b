/** The headers with source offset and timestamp; `output-batches.test.ts` has them in every property. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import {
  type BatchCodec,
  batchCodecs,
  batchHeaderBytes,
  readBatchHeader,
} from "#core/kafka/record-batch.ts";
import { decodeRecords, RecordCursor } from "#core/kafka/records.ts";
import { originalOffsetOf, recordGrowthMax } from "#core/restore/offset-headers.ts";
import { type OutputBatch, OutputBatches } from "#core/restore/output-batches.ts";
import { littleEndian } from "#test/core/restore/source-model.ts";

const at = { topic: "orders", partition: 0 };

function outputsOf(
  batches: readonly Buffer[],
  options: { maxMessageBytes?: number; includeOffsetHeaders?: boolean } = {},
): OutputBatch[] {
  const outputs = new OutputBatches({
    at,
    window: {},
    valid: { isWhole: () => true, has: () => true },
    maxMessageBytes: 1024 * 1024,
    includeOffsetHeaders: true,
    skipRecords: 0n,
    onSkipped: () => {},
    ...options,
  });
  const pushed = batches.flatMap((batch) => [
    ...outputs.push(Buffer.from(batch), readBatchHeader(batch)),
  ]);
  return [...pushed, ...outputs.flush()];
}

const recordsIn = ({ batch }: OutputBatch) => {
  const header = readBatchHeader(batch);
  return decodeRecords(header, bodyOf(header, batch, 0, at, batchBodyBytesMax), at);
};
const codecOf = ({ batch }: OutputBatch) => batchCodecs[readBatchHeader(batch).attributes & 7];
const ofValue = (bytes: number) => ({ timestamp: 1n, key: null, value: randomBytes(bytes) });

test("F1: the headers come behind the record's own, all else stays to the byte", () => {
  const headers = [
    { key: "trace", value: Buffer.from("1") },
    { key: "x-original-offset", value: littleEndian(5n) },
    { key: "x-original-timestamp", value: null },
  ];
  const record: NewRecord = { timestamp: -1n, key: null, value: Buffer.alloc(0), headers };
  const source = encodeBatch([record, record], { codec: "zstd", baseOffset: 2n ** 40n });
  const [output, ...others] = outputsOf([source]);
  expect(others).toEqual([]);
  const restored = recordsIn(output!);
  expect(restored).toHaveLength(2);
  for (const [i, found] of restored.entries()) {
    expect(found).toMatchObject({ timestamp: -1n, key: null, value: Buffer.alloc(0) });
    expect(found.headers.map(({ key, value }) => [key.toString(), value])).toEqual([
      ["trace", Buffer.from("1")],
      ["x-original-offset", littleEndian(5n)],
      ["x-original-timestamp", null],
      ["x-original-offset", littleEndian(2n ** 40n + BigInt(i))],
      ["x-original-timestamp", littleEndian(-1n)],
    ]);
  }
});

test("F1: 63 headers become 65, whose number takes a byte more", () => {
  const headers = Array.from({ length: 63 }, (_, i) => ({ key: `h${i}`, value: null }));
  const record = { ...ofValue(10), headers };
  const [found] = recordsIn(outputsOf([encodeBatch([record], { codec: "none" })])[0]!);
  expect(found!.headers).toHaveLength(65);
  expect(found!.headers[62]!.key.toString()).toBe("h62");
  expect(found!.value).toEqual(record.value);
});

test("R6: a record grows by no more than is made room for in max.message.bytes", () => {
  const sizes = fc.tuple(fc.nat(20_000), fc.nat(80));
  fc.assert(
    fc.property(sizes, ([valueBytes, headerCount]) => {
      const headers = Array.from({ length: headerCount }, () => ({ key: "", value: null }));
      const record = { ...ofValue(valueBytes), headers };
      const source = encodeBatch([record], { codec: "none" });
      const [output] = outputsOf([source], { maxMessageBytes: source.length + recordGrowthMax });
      expect(output!.batch.length).toBeLessThanOrEqual(source.length + recordGrowthMax);
      expect(output!.batch.length).toBeGreaterThanOrEqual(source.length + recordGrowthMax - 2);
    }),
  );
});

describe("codecs", () => {
  const values = (codec: BatchCodec, baseOffset: bigint, bytes: number) =>
    encodeBatch([ofValue(bytes), ofValue(bytes)], { codec, baseOffset });

  test.each(batchCodecs)("a large %s batch stays one of that codec among others", (codec) => {
    const other = codec === "zstd" ? "gzip" : "zstd";
    const outputs = outputsOf([
      values(other, 0n, 4_000),
      values(codec, 2n, 4_000),
      values(codec, 4n, 4_000),
      values(other, 6n, 4_000),
    ]);
    expect(outputs.map((output) => [codecOf(output), output.recordCount])).toEqual([
      [other, 2],
      [codec, 4],
      [other, 2],
    ]);
    expect(outputs.map(({ isRaw }) => isRaw)).toEqual([false, false, false]);
  });

  test("small batches are coalesced into what is before them", () => {
    const outputs = outputsOf([
      values("lz4", 0n, 4_000),
      values("gzip", 2n, 20),
      values("none", 4n, 20),
      values("lz4", 6n, 4_000),
    ]);
    expect(outputs.map((output) => [codecOf(output), output.recordCount])).toEqual([["lz4", 8]]);
  });
});

describe("R6: headers that make records too large:", () => {
  test("a batch that is too large with its headers is split", () => {
    const records = Array.from({ length: 20 }, () => ofValue(100));
    const source = encodeBatch(records, { codec: "none" });
    const outputs = outputsOf([source], { maxMessageBytes: source.length });
    expect(outputs.length).toBe(2);
    expect(outputs.every(({ batch }) => batch.length <= source.length)).toBe(true);
    expect(outputs.flatMap(recordsIn).map(({ value }) => value)).toEqual(
      records.map(({ value }) => value),
    );
  });

  test("a record that fits, but not with its headers, is named", () => {
    const source = encodeBatch([ofValue(2_000)], { codec: "none", baseOffset: 41n });
    const maxMessageBytes = source.length + 56;
    expect(outputsOf([source], { maxMessageBytes, includeOffsetHeaders: false })).toHaveLength(1);
    expect(() => outputsOf([source], { maxMessageBytes })).toThrowError(
      expect.objectContaining({
        name: "RecordTooLargeError",
        message:
          `orders-0: the record at offset 41 makes a batch of ${source.length + 57} bytes with ` +
          `its offset headers; the target's max.message.bytes is ${maxMessageBytes}`,
      }),
    );
  });
});

describe("the original offset of a record", () => {
  function originalOf(headers: NewRecord["headers"]): bigint | undefined {
    const batch = encodeBatch([{ timestamp: 1n, key: null, value: null, headers: headers! }], {
      codec: "none",
    });
    const cursor = new RecordCursor(readBatchHeader(batch), batch.subarray(batchHeaderBytes), at);
    cursor.next();
    return originalOffsetOf(cursor);
  }
  const header = (value: Buffer | null, key = "x-original-offset") => ({ key, value });

  test("is what its last header of that name says", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (offset) => {
        const headers = [header(littleEndian(7n)), header(littleEndian(offset)), header(null, "z")];
        expect(originalOf(headers)).toBe(offset);
      }),
    );
  });

  test.each([
    ["there are no headers", []],
    ["there is none of that name", [header(littleEndian(7n), "x-original-offseT")]],
    ["the value is null", [header(null)]],
    ["the value has 4 bytes", [header(littleEndian(7n).subarray(4))]],
    ["the value is text", [header(Buffer.from("123456789"))]],
    ["the number is negative", [header(littleEndian(-1n))]],
  ])("is not known where %s", (_, headers) => {
    expect(originalOf(headers)).toBeUndefined();
  });

  test("is that of a header before one that is none", () => {
    expect(originalOf([header(littleEndian(7n)), header(Buffer.from("none"))])).toBe(7n);
  });
});
