import { expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import { attributesOffset, crcOffset } from "#core/kafka/record-batch.ts";
import { javaBatches } from "#test/core/kafka/java-batches.ts";

const at = { topic: "orders", partition: 3 };

function makeBatch(): Buffer {
  const value = Buffer.from("some value");
  return encodeBatch([{ timestamp: 1n, key: null, value }], { codec: "none", baseOffset: 77n });
}

/** Changed by `change`, with a CRC that is right again. */
function changed(change: (batch: Buffer) => void): Buffer {
  const batch = makeBatch();
  change(batch);
  batch.writeUInt32BE(crc32c(batch.subarray(attributesOffset)), crcOffset);
  return batch;
}

test("F6: a sound batch is returned as its header, wherever it lies in the buffer", () => {
  for (const { bytes, baseOffset } of javaBatches) {
    const buffer = Buffer.concat([Buffer.alloc(13), bytes, Buffer.alloc(5)]);
    expect(checkBatch(buffer, 13, at).baseOffset.toString()).toBe(baseOffset);
  }
});

test("F6: a flip of any bit that the CRC covers is found and named with its place", () => {
  const batch = makeBatch();
  for (let bit = 8 * attributesOffset; bit < 8 * batch.length; bit++) {
    const flipped = Buffer.from(batch);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => checkBatch(flipped, 0, at)).toThrow(
      expect.objectContaining({
        name: "CorruptRecordBatchError",
        message: expect.stringContaining("orders-3 at offset 77"),
        details: { topic: "orders", partition: 3, offset: 77n },
      }),
    );
  }
});

test("F6: a wrong CRC is told with both numbers", () => {
  const batch = makeBatch();
  const crc = batch.readUInt32BE(crcOffset);
  batch.writeUInt32BE(0xab, crcOffset);
  const right = crc.toString(16).padStart(8, "0");
  expect(() => checkBatch(batch, 0, at)).toThrow(
    `its CRC-32C is 0x000000ab, its bytes give 0x${right}`,
  );
});

test.each([
  ["cut within its first bytes", makeBatch().subarray(0, 16), "ends after 16 bytes"],
  ["cut within its body", makeBatch().subarray(0, 70), "ends after 70 of its 78 bytes"],
  ["smaller than a header", changed((b) => b.writeInt32BE(40, 8)), "size of 52 bytes is less"],
  ["of negative size", changed((b) => b.writeInt32BE(-1, 8)), "size of 11 bytes is less"],
  [
    "of magic 0",
    changed((b) => b.writeInt8(0, 16)),
    "message format 0 is not that of record batches",
  ],
  [
    "of magic 1",
    changed((b) => b.writeInt8(1, 16)),
    "message format 1 is not that of record batches",
  ],
  ["of magic 3", changed((b) => b.writeInt8(3, 16)), "magic number 3"],
  ["at a negative offset", changed((b) => b.writeBigInt64BE(-2n, 0)), "base offset is negative"],
  ["without offsets", changed((b) => b.writeInt32BE(-1, 23)), "last offset delta is -1"],
  ["with more records than offsets", changed((b) => b.writeInt32BE(2, 57)), "2 records for 1"],
  ["with a negative count", changed((b) => b.writeInt32BE(-1, 57)), "counts -1 records"],
])("F6: a batch %s is refused", (_name, batch, problem) => {
  expect(() => checkBatch(batch, 0, at)).toThrow(problem);
});
