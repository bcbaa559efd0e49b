import { compressSync, decompressFrameSync } from "lz4-napi";
import { expect, test } from "vitest";
import { decompressLz4Frame } from "#core/kafka/lz4-frame.ts";

const content = Buffer.alloc(1_000, 7);
/** Of the compressed size in front of a frame's block, and of the size that is declared. */
const headerBytes = 15;

/** A frame of `content` in one block, whose header declares `bytes`, with a right header checksum. */
function frameDeclaring(bytes: bigint, flags: number): Buffer {
  const block = compressSync(content);
  block.writeUInt32LE(block.length - 4, 0);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(0x184d2204, 0);
  header.writeUInt8(flags, 4);
  header.writeUInt8(0x40, 5);
  header.writeBigUInt64LE(bytes, 6);
  const frame = Buffer.concat([header, block, Buffer.alloc(4)]);
  // Which of 256 the checksum is, the native module says by not complaining of it.
  for (let checksum = 0; checksum < 256; checksum++) {
    frame.writeUInt8(checksum, headerBytes - 1);
    if (!/checksum/i.test(problemOf(frame))) return frame;
  }
  throw new Error("no header checksum fits");
}

function problemOf(frame: Buffer): string {
  try {
    decompressFrameSync(frame);
    return "";
  } catch (error) {
    return String(error);
  }
}

/** Version 1 and a content size; blocks that may look back go to the native module as they are. */
const dependentBlocks = 0x48;

test("S4: an lz4 frame of blocks that look back is read where it declares what it holds", () => {
  const frame = frameDeclaring(1_000n, dependentBlocks);
  expect(decompressLz4Frame(frame, 1_000)).toEqual(content);
  expect(() => decompressLz4Frame(frame, 999)).toThrow("would decompress to 1000 bytes, above 999");
});

test.each([0n, 999n, 2n ** 32n, 2n ** 62n])(
  "S4: an lz4 frame that declares %i bytes and holds 1000 is refused, and takes no memory for it",
  (declared) => {
    const frame = frameDeclaring(declared, dependentBlocks);
    const before = process.memoryUsage().rss;
    expect(() => decompressLz4Frame(frame, 256 * 1024 * 1024)).toThrow();
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024);
  },
);
