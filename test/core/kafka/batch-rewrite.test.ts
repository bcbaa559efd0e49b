import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import { mustReencode, rewriteHeader } from "#core/kafka/batch-rewrite.ts";
import {
  batchHeaderBytes,
  codecMask,
  deleteHorizonBit,
  hasDeleteHorizon,
  logAppendTimeBit,
  readBatchHeader,
  transactionalBit,
} from "#core/kafka/record-batch.ts";
import { decodeRecords } from "#core/kafka/records.ts";
import { javaBatch, javaBatches } from "#test/core/kafka/java-batches.ts";

const at = { topic: "orders", partition: 3 };
const producer = { producerId: 4000n, producerEpoch: 0, baseSequence: 2 ** 31 - 1 };
const plain = { timestamp: 7n, key: null, value: Buffer.from("value") };

function timestampsOf(batch: Buffer): bigint[] {
  const header = checkBatch(batch, 0, at);
  const body = bodyOf(header, batch, 0, at, batchBodyBytesMax);
  return decodeRecords(header, body, at).map((record) => record.timestamp);
}

test.each(javaBatches)(
  "F1: only the header of `$name` changes, and its CRC stays right",
  (java) => {
    const before = readBatchHeader(java.bytes);
    const buffer = Buffer.concat([Buffer.alloc(9, 1), java.bytes, Buffer.alloc(9, 2)]);
    rewriteHeader(buffer, 9, producer);
    const after = checkBatch(buffer, 9, at);
    expect(after).toEqual({
      ...before,
      ...producer,
      baseOffset: 0n,
      partitionLeaderEpoch: -1,
      attributes: before.attributes & (codecMask | logAppendTimeBit),
      crc: after.crc,
    });
    const end = 9 + java.bytes.length;
    expect(buffer.subarray(9 + batchHeaderBytes, end)).toEqual(
      java.bytes.subarray(batchHeaderBytes),
    );
    expect(buffer.subarray(0, 9)).toEqual(Buffer.alloc(9, 1));
    expect(buffer.subarray(end)).toEqual(Buffer.alloc(9, 2));
  },
);

test("reserved attribute bits are cleared, codec and timestamp type are kept, whatever they are", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fff }), (attributes) => {
      const batch = encodeBatch([plain], { codec: "none", flags: attributes });
      rewriteHeader(batch, 0, producer);
      expect(checkBatch(batch, 0, at).attributes).toBe(attributes & 0x0f);
    }),
  );
});

test("a batch rewritten twice is the batch rewritten once with the second producer", () => {
  const once = encodeBatch([plain], { codec: "lz4", flags: transactionalBit, baseOffset: 50n });
  const twice = Buffer.from(once);
  rewriteHeader(once, 0, producer);
  rewriteHeader(twice, 0, { producerId: 1n, producerEpoch: 9, baseSequence: 3 });
  rewriteHeader(twice, 0, producer);
  expect(twice).toEqual(once);
});

test("a body that was damaged before still fails its CRC after the rewrite", () => {
  const batch = encodeBatch([plain], { codec: "none" });
  batch[batch.length - 3]! ^= 1;
  rewriteHeader(batch, 0, producer);
  expect(() => checkBatch(batch, 0, at)).toThrow("CRC-32C");
});

test("F1: records of a batch with a delete horizon keep their timestamps when it is cleared", () => {
  const records = [1_700_000_000_000n, -1n, 1_600_000_000_000n].map((timestamp) => ({
    ...plain,
    timestamp,
  }));
  const horizon = { flags: deleteHorizonBit, baseTimestamp: 1_800_000_000_000n };
  const ours = encodeBatch(records, { codec: "zstd", ...horizon });
  for (const batch of [ours, javaBatch("delete horizon, dense").bytes]) {
    const header = readBatchHeader(batch);
    const before = timestampsOf(batch);
    expect(mustReencode(header)).toBe(false);
    expect(hasDeleteHorizon(header)).toBe(true);
    expect(header.baseTimestamp).toBe(1_800_000_000_000n);
    rewriteHeader(batch, 0, producer);
    expect(timestampsOf(batch)).toEqual(before);
    expect(hasDeleteHorizon(readBatchHeader(batch))).toBe(false);
  }
  expect(timestampsOf(ours)).toEqual(records.map((record) => record.timestamp));
});

test.each([
  ["dense batches pass as they are", "zstd: many blocks", false],
  ["transactional batches pass as they are", "transactional", false],
  ["F3: batches with holes are encoded again", "compacted: holes and a delete horizon", true],
  ["F8: LogAppendTime batches are encoded again", "LogAppendTime", true],
])("%s", (_sentence, name, expected) => {
  expect(mustReencode(readBatchHeader(javaBatch(name).bytes))).toBe(expected);
});
