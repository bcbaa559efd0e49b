/** Message sets of magic 0 and 1 that somebody has tampered with, their CRC made right again. */
import { crc32, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isBackupError } from "#core/errors.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf, compressBody } from "#core/kafka/batch-compression.ts";
import { withRecordBatches } from "#core/kafka/message-sets.ts";
import { decodeRecords } from "#core/kafka/records.ts";
import { forEachBatch } from "#core/segment/reader.ts";
import { bombs } from "#test/support/bombs.ts";
import { type ByteChange, byteChanges, changedBytes } from "#test/support/hostile.ts";
import { type OldRecord, oldMessage, oldWrapper } from "#test/support/message-sets.ts";

const at = { topic: "old", partition: 3 };
const codecs = ["gzip", "snappy", "lz4"] as const;
type Codec = (typeof codecs)[number];

/** Behind offset and size; what the CRC covers begins behind itself, with the magic number. */
const crcOffset = 12;
const magicOffset = 16;

const convert = (log: Buffer) => withRecordBatches(log, at, { border: 2n ** 62n });

/** As a backup does with what it fetched: converted, checked, and as a restore decodes it. */
function readAll(log: Buffer): void {
  const converted = convert(log);
  forEachBatch(converted, (_, position) => {
    const header = checkBatch(converted, position, at);
    decodeRecords(header, bodyOf(header, converted, position, at, batchBodyBytesMax), at);
  });
}

function readOrRefuse(log: Buffer): void {
  try {
    readAll(log);
  } catch (error) {
    if (!isBackupError(error)) throw error;
    expect(["CorruptRecordBatchError", "UnsupportedCodecError"]).toContain(error.name);
  }
}

const record = (offset: bigint, text: string): OldRecord => ({
  offset,
  timestamp: 1_700_000_000_000n + offset,
  key: Buffer.from(`key ${offset}`),
  value: Buffer.from(text),
});
const records = [record(5n, "first"), record(6n, "x".repeat(300)), record(9n, "after a hole")];

/** A message with these bytes behind its CRC, its size and CRC right. */
function resealed(bytes: Buffer, magic: number): Buffer {
  if (bytes.length <= magicOffset) return bytes;
  bytes.writeInt32BE(bytes.length - crcOffset, 8);
  bytes[magicOffset] = magic;
  bytes.writeUInt32BE(crc32(bytes.subarray(magicOffset)), crcOffset);
  return bytes;
}

const magics = fc.constantFrom<(0 | 1)[]>(0, 1);
const entries = fc.tuple(magics, fc.constantFrom<("none" | Codec)[]>("none", ...codecs));

function entryOf(magic: 0 | 1, codec: "none" | Codec): Buffer {
  return codec === "none" ? oldMessage(magic, records[1]!) : oldWrapper(magic, records, { codec });
}

/** A wrapper whose inner messages are changed, each with a CRC that fits. */
function wrapperOf(magic: 0 | 1, codec: Codec, changes: readonly ByteChange[][]): Buffer {
  const inner = records.map((each, i) => {
    const offset = magic === 1 ? each.offset - records[0]!.offset : each.offset;
    const message = oldMessage(magic, { ...each, offset });
    const ofThis = changes[i];
    return ofThis === undefined ? message : resealed(changedBytes(message, ofThis), magic);
  });
  const set = Buffer.concat(inner);
  const value = codec === "gzip" ? gzipSync(set) : compressBody(codec, set);
  return oldMessage(magic, { ...records.at(-1)!, key: null, value }, { codec });
}

describe("F6: old messages", () => {
  test("and wrappers are read where nobody has tampered with them", () => {
    for (const magic of [0, 1] as const) {
      for (const codec of ["none", ...codecs] as const) readAll(entryOf(magic, codec));
      for (const codec of codecs) readAll(wrapperOf(magic, codec, []));
    }
  });

  test("with other bytes are read or refused by name", () => {
    fc.assert(
      fc.property(
        fc.array(entries, { minLength: 1, maxLength: 3 }),
        byteChanges,
        (log, changes) => {
          const bytes = Buffer.concat(log.map(([magic, codec]) => entryOf(magic, codec)));
          readOrRefuse(changedBytes(bytes, changes));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("with other bytes and the CRC that fits them are read or refused by name", () => {
    fc.assert(
      fc.property(entries, byteChanges, ([magic, codec], changes) => {
        readOrRefuse(resealed(changedBytes(entryOf(magic, codec), changes), magic));
      }),
      { numRuns: 3_000 },
    );
  });

  test("with other bytes in a wrapper, and the CRCs that fit them, are read or refused by name", () => {
    const changed = fc.array(byteChanges, { minLength: 1, maxLength: records.length });
    fc.assert(
      fc.property(magics, fc.constantFrom(...codecs), changed, (magic, codec, changes) => {
        readOrRefuse(wrapperOf(magic, codec, changes));
      }),
      { numRuns: 3_000 },
    );
  });

  test("whose body is any bytes are read or refused by name, whatever the codec's number", () => {
    const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(magics, fc.nat(255), body, (magic, attributes, value) => {
        const forged = oldMessage(magic, { ...record(9n, ""), value });
        forged[magicOffset + 1] = attributes;
        readOrRefuse(resealed(forged, magic));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("S4: a wrapper", () => {
  const cases = codecs.flatMap((codec) => [[codec, 0] as const, [codec, 1] as const]);

  test.each(cases)(
    "of %s in format %i that holds GBs is refused at the ceiling",
    (codec, magic) => {
      const value = bombs[codec].body();
      const bomb = oldMessage(magic, { ...record(9n, ""), key: null, value }, { codec });
      expect(() => convert(bomb)).toThrow(
        expect.objectContaining({
          name: "CorruptRecordBatchError",
          message: expect.stringMatching(
            new RegExp(
              `old-3 at offset 9: its ${codec} body .* (more than|above) ${batchBodyBytesMax}`,
            ),
          ),
        }),
      );
    },
  );
});
