import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { compressSync as compressBlock, compressFrameSync } from "lz4-napi";
import { compressSync as compressRawSnappy } from "snappy";
import { expect, test } from "vitest";
import { bodyOf, compressBody } from "#core/kafka/batch-compression.ts";
import { decompressLz4Block, lz4BlockContentBytes } from "#core/kafka/lz4-block.ts";
import { batchCodecs, batchHeaderBytes, readBatchHeader } from "#core/kafka/record-batch.ts";
import { zstdFrames } from "#core/kafka/zstd-frames.ts";
import { javaBatch } from "#test/core/kafka/java-batches.ts";

const at = { topic: "orders", partition: 3 };
const mebibyte = 1024 * 1024;
const compressing = batchCodecs.filter((codec) => codec !== "none");

/** Decompresses `body` as that of a batch with this codec number. */
function decompress(codec: number, body: Uint8Array, bytesMax = 8 * mebibyte): Buffer {
  const batch = Buffer.concat([Buffer.alloc(batchHeaderBytes), body]);
  batch.writeBigInt64BE(77n, 0);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt16BE(codec, 21);
  return bodyOf(readBatchHeader(batch), batch, 0, at, bytesMax);
}

function numberOf(codec: (typeof batchCodecs)[number]): number {
  return batchCodecs.indexOf(codec);
}

/** Hard to compress at its begin, easy at its end. */
function mixed(bytes: number): Buffer {
  const data = Buffer.alloc(bytes, "the same again and again ");
  let state = 1;
  for (let i = 0; i < Math.min(bytes / 2, 150_000); i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

test("F7: what any codec compresses, it decompresses, at every size around a block's", () => {
  const sizes = [0, 1, 5, 13, 600, 4096, 32_768, 32_769, 65_535, 65_536, 65_537, 400_000, mebibyte];
  for (const codec of batchCodecs) {
    for (const size of sizes) {
      const data = mixed(size);
      expect(decompress(numberOf(codec), compressBody(codec, data)).equals(data)).toBe(true);
    }
  }
});

test("F7: an uncompressed body is a view, not a copy", () => {
  const { bytes } = javaBatch("none: nulls, empties, headers");
  const body = bodyOf(readBatchHeader(bytes), bytes, 0, at, 1);
  expect(body.buffer).toBe(bytes.buffer);
  expect(body).toEqual(bytes.subarray(batchHeaderBytes));
});

test("F7: snappy is read in xerial framing, in repeated xerial streams, and raw", () => {
  const data = mixed(100_000);
  const xerial = compressBody("snappy", data);
  expect(decompress(2, Buffer.concat([xerial, xerial])).equals(Buffer.concat([data, data]))).toBe(
    true,
  );
  expect(decompress(2, compressRawSnappy(data)).equals(data)).toBe(true);
});

test("F7: snappy is written in the framing of Java's client, in blocks of 32 KiB", () => {
  const java = javaBatch("snappy: many blocks").bytes.subarray(batchHeaderBytes);
  const ours = compressBody("snappy", mixed(70_000));
  expect(ours.subarray(0, 16)).toEqual(java.subarray(0, 16));
  const sizes: number[] = [];
  for (let position = 16; position < ours.length; position += 4 + ours.readInt32BE(position)) {
    const block = ours.subarray(position + 4, position + 4 + ours.readInt32BE(position));
    const chunk = Buffer.concat([
      ours.subarray(0, 16),
      ours.subarray(position, position + 4),
      block,
    ]);
    sizes.push(decompress(2, chunk).length);
  }
  expect(sizes).toEqual([32_768, 32_768, 70_000 - 65_536]);
});

test("F7: lz4 is written with the frame header of Java's client", () => {
  const java = javaBatch("lz4: many blocks").bytes.subarray(batchHeaderBytes);
  expect(compressBody("lz4", mixed(70_000)).subarray(0, 7)).toEqual(java.subarray(0, 7));
});

test("F7: lz4 frames with checksums and with large blocks are read", () => {
  const data = mixed(600_000);
  for (const options of [{}, { blockChecksums: true }, { contentChecksum: true }]) {
    expect(decompress(3, compressFrameSync(data, options)).equals(data)).toBe(true);
  }
});

test("F7: a wrong block checksum in an lz4 frame is found", () => {
  const frame = compressFrameSync(Buffer.alloc(100, "abc"), { blockChecksums: true });
  frame[frame.length - 5]! ^= 1;
  expect(() => decompress(3, frame)).toThrow("BlockChecksumError");
});

test("F7: lz4 blocks that do not compress are stored", () => {
  const data = mixed(400_000).subarray(0, 65_536);
  const frame = compressBody("lz4", data);
  expect(frame.readUInt32LE(7)).toBe(0x80000000 + data.length);
  expect(frame.length).toBe(7 + 4 + data.length + 4);
});

/** A frame of 64 KiB blocks with this block. */
function lz4Frame(block: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(block.length);
  return Buffer.concat([Buffer.from("04224d18604082", "hex"), size, block, Buffer.alloc(4)]);
}

test.each([
  ["whose match points before its begin", [0x10, 0x61, 9, 0, 0x10, 0x62], "malformed LZ4 block"],
  ["whose match points at itself", [0x10, 0x61, 0, 0, 0x10, 0x62], "malformed LZ4 block"],
  ["that ends within a match", [0x10, 0x61, 1], "malformed LZ4 block"],
  ["that lacks its literals", [0x40, 0x61], "malformed LZ4 block"],
  ["above its frame's block size", compressBlock(Buffer.alloc(65_537)).subarray(4), "65537 bytes"],
])("F7: an lz4 block %s is corrupt", (_name, block, problem) => {
  expect(() => decompress(3, lz4Frame(Uint8Array.from(block)))).toThrow(problem);
});

test("F7: concatenated zstd frames, skippable ones and frames without content size are read", () => {
  const data = mixed(50_000);
  const noSize = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } };
  const skippable = Buffer.from("512a4d1803000000616263", "hex");
  const frames = [
    zstdCompressSync(data),
    skippable,
    zstdCompressSync(Buffer.alloc(0)),
    zstdCompressSync(data, noSize),
    zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  ];
  expect(decompress(4, Buffer.concat(frames)).equals(Buffer.concat([data, data, data]))).toBe(true);
});

test.each([1, 255, 256, 300, 65_791, 65_792, 100_000])(
  "S4: a zstd frame of %i bytes declares that size",
  (size) => {
    const [frame] = zstdFrames(zstdCompressSync(mixed(size)));
    expect(frame?.contentBytes).toBe(size);
  },
);

test("F7: several gzip members are read as one", () => {
  const members = Buffer.concat([gzipSync("first "), gzipSync("second")]);
  expect(decompress(1, members).toString()).toBe("first second");
});

test.each([5, 6, 7])("F7: codec number %i is refused by name and place", (codec) => {
  expect(() => decompress(codec, Buffer.alloc(3))).toThrow(
    expect.objectContaining({
      name: "UnsupportedCodecError",
      message: `record batch of orders-3 at offset 77: compression codec ${codec}`,
    }),
  );
});

test.each(compressing)("S4: %s decompresses up to the ceiling and not a byte beyond", (codec) => {
  const data = Buffer.alloc(3 * mebibyte);
  const body = compressBody(codec, data);
  expect(decompress(numberOf(codec), body, data.length).length).toBe(data.length);
  expect(() => decompress(numberOf(codec), body, data.length - 1)).toThrow(
    expect.objectContaining({
      name: "CorruptRecordBatchError",
      message: expect.stringMatching(/orders-3 at offset 77: its \w+ body .*3145727/),
    }),
  );
});

test("S4: a zstd body whose frames together exceed the ceiling is refused", () => {
  const noSize = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } };
  const frame = zstdCompressSync(Buffer.alloc(1000), noSize);
  expect(() => decompress(4, Buffer.concat([frame, frame]), 1999)).toThrow("1999");
});

test.each([
  ["a snappy block of 4 GiB", 2, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0])],
  ["a zstd frame of an exabyte", 4, Buffer.from("28b52ffde00000000000000010010000", "hex")],
])("S4: %s is refused for what it declares, before anything is allocated", (_name, codec, body) => {
  expect(() => decompress(codec, body)).toThrow(/would decompress to/);
});

test.each(compressing)("%s: cut or damaged bodies end in a named error or in content", (codec) => {
  const body = compressBody(codec, mixed(3000));
  const damage = fc.record({
    cut: fc.integer({ min: 0, max: body.length - 1 }),
    flips: fc.array(fc.nat(8 * body.length - 1), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(damage, ({ cut, flips }) => {
      const damaged = Buffer.from(body);
      for (const bit of flips) damaged[bit >> 3]! ^= 1 << (bit & 7);
      for (const bytes of [damaged, damaged.subarray(0, cut)]) {
        try {
          expect(decompress(numberOf(codec), bytes).length).toBeLessThanOrEqual(8 * mebibyte);
        } catch (error) {
          expect(error).toMatchObject({ name: "CorruptRecordBatchError" });
        }
      }
    }),
    { numRuns: 500 },
  );
});

test.each(compressing)("%s: a body that ends early is corrupt", (codec) => {
  const body = compressBody(codec, mixed(3000));
  expect(() => decompress(numberOf(codec), body.subarray(0, body.length - 5))).toThrow(
    expect.objectContaining({ name: "CorruptRecordBatchError" }),
  );
});

test("small lz4 blocks decompress here to what the native module gives", () => {
  const repeats = fc.array(
    fc.record({
      bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
      times: fc.integer({ min: 1, max: 90 }),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(repeats, (parts) => {
      const data = Buffer.concat(
        parts.flatMap(({ bytes, times }) => Array<Uint8Array>(times).fill(bytes)),
      );
      const frame = compressFrameSync(data);
      const size = frame.readUInt32LE(7);
      fc.pre(size < 2 ** 31 && 7 + 4 + size + 4 === frame.length);
      expect(lz4BlockContentBytes(frame, 11, 11 + size)).toBe(data.length);
      const content = Buffer.alloc(data.length);
      expect(decompressLz4Block(frame, 11, 11 + size, content, 0)).toBe(data.length);
      expect(content.equals(data)).toBe(true);
    }),
    { numRuns: 300 },
  );
});
