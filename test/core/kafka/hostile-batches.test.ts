/** Record batches that somebody has tampered with, their CRC made right again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isBackupError } from "#core/errors.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { bodyOf } from "#core/kafka/batch-compression.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import {
  attributesOffset,
  batchHeaderBytes,
  crcOffset,
  logOverheadBytes,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";
import { decodeRecords } from "#core/kafka/records.ts";
import { forEachBatch } from "#core/segment/reader.ts";
import { javaBatches } from "#test/core/kafka/java-batches.ts";
import { byteChanges, changedBytes } from "#test/support/hostile.ts";

const at = { topic: "orders", partition: 3 };
/** Small batches break in as many ways as large ones, and quicker. */
const batches = javaBatches.filter(({ size }) => size < 16 * 1024);
const bodyBytesMax = 4 * 1024 * 1024;

const refusals = ["CorruptRecordBatchError", "UnsupportedCodecError"];

function readOrRefuse<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!isBackupError(error)) throw error;
    expect(refusals).toContain(error.name);
    return undefined;
  }
}

/** Length and CRC fit what is there, so that what comes after their checks is reached. */
function resealed(bytes: Buffer): Buffer {
  if (bytes.length < batchHeaderBytes) return bytes;
  bytes.writeInt32BE(bytes.length - logOverheadBytes, 8);
  bytes.writeInt8(2, 16);
  bytes.writeUInt32BE(crc32c(bytes.subarray(attributesOffset)), crcOffset);
  return bytes;
}

function readAll(bytes: Buffer): void {
  const headers: [RecordBatchHeader, number][] = [];
  readOrRefuse(() => forEachBatch(bytes, (header, position) => headers.push([header, position])));
  for (const [, position] of headers) {
    const checked = readOrRefuse(() => checkBatch(bytes, position, at));
    if (checked === undefined) continue;
    const body = readOrRefuse(() => bodyOf(checked, bytes, position, at, bodyBytesMax));
    if (body === undefined) continue;
    expect(body.length).toBeLessThanOrEqual(bodyBytesMax);
    readOrRefuse(() => decodeRecords(checked, body, at));
  }
}

const anyBatch = fc.constantFrom(...batches);

describe("I1: a batch", () => {
  test("with other bytes is read or refused by name", () => {
    fc.assert(
      fc.property(anyBatch, byteChanges, ({ bytes }, changes) => {
        readAll(changedBytes(bytes, changes));
      }),
      { numRuns: 3_000 },
    );
  });

  test("with other bytes and the CRC that fits them is read or refused by name", () => {
    fc.assert(
      fc.property(anyBatch, byteChanges, ({ bytes }, changes) => {
        readAll(resealed(changedBytes(bytes, changes)));
      }),
      { numRuns: 6_000 },
    );
  });

  test("of any bytes behind a header of any codec is read or refused by name", () => {
    const content = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(anyBatch, fc.nat(7), content, ({ bytes }, codec, body) => {
        const forged = Buffer.concat([bytes.subarray(0, batchHeaderBytes), body]);
        forged.writeInt16BE(codec, attributesOffset);
        readAll(resealed(forged));
      }),
      { numRuns: 3_000 },
    );
  });

  test("that counts more records than there are bytes is refused at once", () => {
    const forged = Buffer.from(batches[0]!.bytes.subarray(0, batchHeaderBytes));
    forged.writeInt16BE(0, attributesOffset);
    forged.writeInt32BE(2 ** 31 - 1, 23);
    forged.writeInt32BE(2 ** 31 - 1, 57);
    const bytes = resealed(forged);
    const header = checkBatch(bytes, 0, at);
    expect(() => decodeRecords(header, bodyOf(header, bytes, 0, at, bodyBytesMax), at)).toThrow(
      expect.objectContaining({ name: "CorruptRecordBatchError" }),
    );
  });
});
