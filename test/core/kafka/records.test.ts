import fc from "fast-check";
import { expect, test } from "vitest";
import { BatchBuilder, checkEncodedBatch, encodeBatch } from "#core/kafka/batch-builder.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import {
  batchCodecs,
  batchHeaderBytes,
  codecOf,
  controlBit,
  deleteHorizonBit,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffsetOf,
  logAppendTimeBit,
  readBatchHeader,
  transactionalBit,
} from "#core/kafka/record-batch.ts";
import { decodeRecords, type KafkaRecord, RecordCursor } from "#core/kafka/records.ts";
import { describeRecord, javaBatch, javaBatches } from "#test/core/kafka/java-batches.ts";

const at = { topic: "orders", partition: 3 };

function decode(batch: Buffer): KafkaRecord[] {
  const header = checkBatch(batch, 0, at);
  return decodeRecords(header, bodyOf(header, batch, 0, at, batchBodyBytesMax), at);
}

test.each(javaBatches)("F1 F7: Java's batch `$name` reads as Java reads it", (java) => {
  const header = checkBatch(java.bytes, 0, at);
  expect({
    size: header.sizeInBytes,
    baseOffset: header.baseOffset.toString(),
    lastOffset: lastOffsetOf(header).toString(),
    leaderEpoch: header.partitionLeaderEpoch,
    crc: header.crc,
    codec: codecOf(header),
    timestampType: isLogAppendTime(header) ? "LogAppendTime" : "CreateTime",
    baseTimestamp: header.baseTimestamp.toString(),
    maxTimestamp: header.maxTimestamp.toString(),
    deleteHorizon: hasDeleteHorizon(header),
    transactional: isTransactional(header),
    control: isControl(header),
    producerId: header.producerId.toString(),
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    recordCount: header.recordCount,
    records: decode(java.bytes).map(describeRecord),
  }).toEqual((({ name: _name, bytes: _bytes, ...described }) => described)(java));
});

test.each(javaBatches)("F1: `$name` encoded again has the bytes that Java wrote", (java) => {
  const header = readBatchHeader(java.bytes);
  const codec = codecOf(header) ?? "none";
  const body = bodyOf(header, java.bytes, 0, at, batchBodyBytesMax);
  const flags =
    (isTransactional(header) ? transactionalBit : 0) |
    (isControl(header) ? controlBit : 0) |
    (hasDeleteHorizon(header) ? deleteHorizonBit : 0) |
    (isLogAppendTime(header) ? logAppendTimeBit : 0);
  // A LogAppendTime record's own time shows only without the attribute.
  const createTimes = { ...header, attributes: header.attributes & ~logAppendTimeBit };
  const records = decodeRecords(createTimes, body, at).map((record) => ({
    ...record,
    offsetDelta: Number(record.offset - header.baseOffset),
  }));
  const { baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence } = header;
  const { lastOffsetDelta, maxTimestamp, baseTimestamp } = header;
  const again = encodeBatch(records, {
    ...{ codec, flags, baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence },
    ...{ lastOffsetDelta, maxTimestamp, baseTimestamp },
  });
  const headerAgain = checkBatch(again, 0, at);
  expect(bodyOf(headerAgain, again, 0, at, batchBodyBytesMax)).toEqual(body);
  const ofBody = { sizeInBytes: 0, crc: 0 };
  expect({ ...headerAgain, ...ofBody }).toEqual({ ...header, ...ofBody });
  if (codec === "none") expect(again).toEqual(java.bytes);
});

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const nullable = fc.option(bytes, { nil: null });
const newRecord = fc.record({
  timestamp: fc.oneof(int64, fc.constantFrom(-1n, 0n, 1_700_000_000_000n)),
  key: nullable,
  value: nullable,
  headers: fc.array(fc.record({ key: bytes, value: nullable }), { maxLength: 3 }),
});

test("F1: whatever is encoded with any codec is decoded the same, 64-bit timestamps included", () => {
  const codec = fc.constantFrom(...batchCodecs);
  fc.assert(
    fc.property(fc.array(newRecord, { minLength: 1, maxLength: 20 }), codec, (records, codec) => {
      const batch = encodeBatch(records, { codec, baseOffset: 1000n });
      const expected = records.map((record, i) => ({ offset: 1000n + BigInt(i), ...record }));
      expect(decode(batch)).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

test("F1: coalesced batches hold the tails of their records byte for byte", () => {
  const batches = ["none: nulls, empties, headers", "timestamps that wrap", "lz4: many blocks"];
  const builder = new BatchBuilder({ initialBytes: batchHeaderBytes });
  const expected: KafkaRecord[] = [];
  for (const { bytes: batch } of batches.map(javaBatch)) {
    const header = readBatchHeader(batch);
    const body = bodyOf(header, batch, 0, at, batchBodyBytesMax);
    const cursor = new RecordCursor(header, body, at);
    while (cursor.next()) {
      const { timestamp, tailStart, tailEnd } = cursor;
      const size = builder.sizeWith(timestamp, tailEnd - tailStart);
      builder.append(timestamp, body, tailStart, tailEnd);
      expect(builder.sizeInBytes).toBe(size);
    }
    expected.push(...decodeRecords(header, body, at));
  }
  const merged = builder.finish({ codec: "zstd" });
  checkEncodedBatch(merged, builder.body, at);
  const renumbered = expected.map((record, i) => ({ ...record, offset: BigInt(i) }));
  expect(decode(merged)).toEqual(renumbered);
});

test("a cleared builder leaves the batches that it handed out alone", () => {
  const builder = new BatchBuilder();
  const tail = Buffer.from([1, 1, 0]);
  builder.append(5n, tail, 0, 3);
  const first = builder.finish({ codec: "none" });
  builder.clear();
  builder.append(-7n, tail, 0, 3);
  builder.append(9n, tail, 0, 3);
  const second = builder.finish({ codec: "none" });
  expect(decode(first).map((record) => record.timestamp)).toEqual([5n]);
  expect(decode(second).map((record) => record.timestamp)).toEqual([-7n, 9n]);
  expect(readBatchHeader(second).baseTimestamp).toBe(-7n);
});

test("F8: records of a LogAppendTime batch bear the batch's maxTimestamp", () => {
  const records = decode(javaBatch("LogAppendTime").bytes);
  expect(records.map((record) => record.timestamp)).toEqual([1700000099999n, 1700000099999n]);
});

/** Body of one record that declares `length`, then holds `bytes`. */
function oneRecord(count: number, ...body: number[]): () => KafkaRecord[] {
  const header = { ...readBatchHeader(encodeBatch([], { codec: "none" })), recordCount: count };
  return () => decodeRecords(header, Buffer.from(body), at);
}

const whole = [12, 0, 0, 0, 1, 1, 0];

test.each([
  ["a record that ends early", oneRecord(1, 14, 0, 0, 0, 1, 1, 0), "length of 7"],
  ["a record with bytes too many", oneRecord(1, 14, 0, 0, 0, 1, 1, 0, 0), "its fields 6"],
  ["a record of negative length", oneRecord(1, 11), "length of -6"],
  ["a key longer than the body", oneRecord(1, 12, 0, 0, 0, 60, 1, 0), "field of 30 bytes"],
  ["a negative header count", oneRecord(1, 12, 0, 0, 0, 1, 1, 1), "header count of -1"],
  ["a header count above the bytes", oneRecord(1, 12, 0, 0, 0, 1, 1, 8), "header count of 4"],
  ["a header without key", oneRecord(1, 16, 0, 0, 0, 1, 1, 2, 1, 1), "without a key"],
  ["a varint of six bytes", oneRecord(1, 255, 255, 255, 255, 255, 0), "more than 5 bytes"],
  [
    "a varlong of eleven bytes",
    oneRecord(1, 26, 0, ...Array(10).fill(255), 1, 1, 0),
    "more than 10 bytes",
  ],
  ["fewer records than counted", oneRecord(2, ...whole), "record 2 of 2 ends"],
  ["more bytes than the counted records", oneRecord(1, ...whole, 0), "1 bytes after"],
])("%s is a corrupt batch, named with its place", (_name, decodeIt, problem) => {
  expect(decodeIt).toThrow(
    expect.objectContaining({
      name: "CorruptRecordBatchError",
      message: expect.stringMatching(new RegExp(`orders-3 at offset 0: .*${problem}`)),
    }),
  );
});

test("random bytes in place of a body never decode to anything but a named error", () => {
  const empty = readBatchHeader(encodeBatch([], { codec: "none" }));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(3), (body, recordCount) => {
      try {
        decodeRecords({ ...empty, recordCount }, Buffer.from(body), at);
      } catch (error) {
        expect(error).toMatchObject({ name: "CorruptRecordBatchError" });
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["a body that is not what was encoded", (b: Buffer) => [b, Buffer.alloc(9)], "does not decomp"],
  [
    "offset deltas with a hole",
    () => {
      const records = [0, 2].map((offsetDelta) => ({ ...plain, offsetDelta }));
      const batch = encodeBatch(records, { codec: "none" });
      return [batch, batch.subarray(batchHeaderBytes)];
    },
    "offset delta 2 in place of 1",
  ],
  [
    "a maxTimestamp that no record has",
    () => {
      const batch = encodeBatch([plain], { codec: "none", maxTimestamp: 8n });
      return [batch, batch.subarray(batchHeaderBytes)];
    },
    "wrong header",
  ],
  [
    "a last offset that no record has",
    () => {
      const batch = encodeBatch([plain], { codec: "none", lastOffsetDelta: 5 });
      return [batch, batch.subarray(batchHeaderBytes)];
    },
    "wrong header",
  ],
])("an encoded batch with %s is not sent", (_name, spoil, problem) => {
  const [batch, body] = spoil(encodeBatch([plain], { codec: "zstd" })) as [Buffer, Buffer];
  expect(() => checkEncodedBatch(batch, body, at)).toThrow(problem);
});

const plain = { timestamp: 7n, key: null, value: Buffer.from("v") };
