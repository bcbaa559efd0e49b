import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import zlib from "node:zlib";
import fc from "fast-check";
import { decompressFrameSync } from "lz4-napi";
import { Decompressor } from "snappy";
import { describe, expect, test } from "vitest";
import { compressionLevels, type FrameCodec, frameCodecNames } from "#core/segment/codecs.ts";
import {
  batchBytesMax,
  compressFrame,
  decompressFrame,
  frameBytesMax,
  frameFormats,
  storeFrame,
} from "#core/segment/frame-codecs.ts";
import type { Pieces } from "#core/segment/pieces.ts";

const compressing = frameCodecNames.filter((codec) => codec !== "none");

/** Decoders that share no code with ours; each reads one frame. */
const standardDecoders: Record<FrameCodec, (frame: Buffer) => Buffer | Promise<Buffer>> = {
  zstd: (frame) => zlib.zstdDecompressSync(frame),
  lz4: (frame) => decompressFrameSync(frame),
  gzip: (frame) => zlib.gunzipSync(frame),
  async snappy(frame) {
    const stream = new Decompressor();
    return Buffer.concat([stream.update(frame), await stream.finish()]);
  },
  none: (frame) => frame,
};

/** Around every limit of the formats: blocks of 65,535 bytes, 64 KiB, 128 KiB, 1 MiB and 4 MiB. */
const edgeSizes = [0, 1, 255, 256, 65_534, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073]
  .concat([1024, 2048, 4096].flatMap((kib) => [kib * 1024 - 1, kib * 1024, kib * 1024 + 1]))
  .concat(9 * 1024 * 1024);

function text(bytes: number): Buffer {
  const line = '{"order":12345,"customer":"someone","amount":"17.20","currency":"EUR"}\n';
  return Buffer.alloc(bytes, line);
}

/** Text with noise in it, so that some blocks shrink and others do not. */
function mixed(bytes: number): Buffer {
  const content = text(bytes);
  for (let at = 0; at < bytes; at += 200_000) randomBytes(90_000).copy(content, at);
  return content;
}

function cut(content: Buffer, pieceBytes: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; at += pieceBytes) {
    pieces.push(content.subarray(at, at + pieceBytes));
  }
  return pieces;
}

describe.each(frameCodecNames)("%s", (codec) => {
  const encoders: Record<string, (pieces: Pieces) => Promise<Pieces>> = {
    compressed: async (pieces) => {
      const rawBytes = Buffer.concat(pieces).length;
      return frameFormats[codec].compress(pieces, rawBytes, compressionLevels[codec]?.min ?? 0);
    },
    stored: async (pieces) => storeFrame(codec, pieces),
  };

  describe.each(Object.keys(encoders))("a %s frame", (kind) => {
    const encode = encoders[kind]!;

    test.each(edgeSizes)(
      "of %i bytes is what it was, by our reader and a standard one",
      async (size) => {
        const content = mixed(size);
        const frame = Buffer.concat(await encode(cut(content, 100_001)));
        expect(content.equals(await standardDecoders[codec](frame))).toBe(true);
        expect(content.equals(await decompressFrame(codec, frame, size))).toBe(true);
      },
    );

    test("does not depend on how the content is cut into pieces", async () => {
      const pieces = fc.array(
        fc.uint8Array({ maxLength: 40_000 }).map((bytes) => Buffer.from(bytes)),
      );
      await fc.assert(
        fc.asyncProperty(pieces, fc.integer({ min: 1, max: 5000 }), async (list, repeated) => {
          const noisy = [...list, text(repeated), ...list];
          const content = Buffer.concat(noisy);
          const frame = Buffer.concat(await encode(noisy));
          expect(content.equals(await standardDecoders[codec](frame))).toBe(true);
          expect(content.equals(await decompressFrame(codec, frame, content.length))).toBe(true);
        }),
        { numRuns: 30 },
      );
    });

    test("is refused when it is said to hold one byte more or less", async () => {
      const content = mixed(300_000);
      const frame = Buffer.concat(await encode([content]));
      for (const wrong of [299_999, 300_001, 0, 1]) {
        await expect(decompressFrame(codec, frame, wrong, "frame 7")).rejects.toMatchObject({
          name: "CorruptSegmentError",
          message: expect.stringContaining("frame 7"),
        });
      }
    });

    test("is refused when it is cut short anywhere", async () => {
      const frame = Buffer.concat(await encode([mixed(300_000)]));
      const lengths = [...Array(40).keys(), frame.length >> 1, frame.length - 5, frame.length - 1];
      for (const length of lengths) {
        await expect(
          decompressFrame(codec, frame.subarray(0, length), 300_000),
          `cut to ${length}`,
        ).rejects.toMatchObject({ name: "CorruptSegmentError" });
      }
    });
  });

  test("a stored frame takes slices of the content and adds less than a thousandth", () => {
    const content = randomBytes(4 * 1024 * 1024);
    const pieces = storeFrame(codec, cut(content, 300_000));
    const added = pieces.filter((piece) => piece.buffer !== content.buffer);
    const addedBytes = added.reduce((sum, piece) => sum + piece.length, 0);
    expect(addedBytes).toBeLessThan(content.length / 1000);
    expect(Buffer.concat(pieces).length).toBe(content.length + addedBytes);
  });

  test("a stored frame of the largest batch is within what is read back", () => {
    // The same piece again and again: nothing of this size is allocated.
    const mebibyte = Buffer.alloc(1024 * 1024);
    const pieces = storeFrame(codec, Array(batchBytesMax / mebibyte.length).fill(mebibyte));
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    expect(bytes).toBeLessThanOrEqual(frameBytesMax);
  });

  test("more than the ceiling is refused whatever the index declares (S4)", async () => {
    await expect(
      decompressFrame(codec, Buffer.alloc(100), frameBytesMax + 1),
    ).rejects.toMatchObject({ name: "CorruptSegmentError" });
  });
});

describe.each(compressing)("%s", (codec) => {
  test("what compressing does not make smaller is stored", async () => {
    const noise = randomBytes(500_000);
    const frame = Buffer.concat(await compressFrame(codec, [noise]));
    expect(frame.equals(Buffer.concat(storeFrame(codec, [noise])))).toBe(true);
  });

  test("text shrinks", async () => {
    const frame = Buffer.concat(await compressFrame(codec, [text(4 * 1024 * 1024)]));
    expect(frame.length).toBeLessThan(400_000);
  });

  test("a frame that expands beyond its declared size is refused before it is in memory (S4)", async () => {
    const bomb = await bombOf(codec);
    const before = process.memoryUsage();
    await expect(decompressFrame(codec, bomb, declaredBytes)).rejects.toMatchObject({
      name: "CorruptSegmentError",
    });
    const after = process.memoryUsage();
    expect(after.rss - before.rss).toBeLessThan(32 * 1024 * 1024);
  });
});

const declaredBytes = 1000;

/** Frames that say they hold 1,000 bytes, and hold 256 MiB of zeros. */
async function bombOf(codec: FrameCodec): Promise<Buffer> {
  const expanded = 256 * 1024 * 1024;
  const zeros = Buffer.alloc(expanded);
  const bomb = Buffer.concat(await frameFormats[codec].compress([zeros], expanded, 1));
  if (codec === "lz4") {
    // A header that agrees with the declaration, in front of the large blocks.
    const honest = Buffer.concat(await frameFormats.lz4.compress([text(1000)], declaredBytes, 0));
    return Buffer.concat([honest.subarray(0, 15), bomb.subarray(15)]);
  }
  if (codec === "snappy") {
    // One chunk whose block declares 256 MiB, for which a decoder would make room.
    const chunk = Buffer.from("000000000000000080808080010000", "hex");
    chunk.writeUIntLE(chunk.length - 4, 1, 3);
    return Buffer.concat([bomb.subarray(0, 10), chunk]);
  }
  return bomb;
}

test("gzip -d gives concatenated compressed and stored frames back", async () => {
  const parts = [mixed(500_000), text(70_000), randomBytes(200_000)];
  const frames = [
    ...(await compressFrame("gzip", [parts[0]!])),
    ...storeFrame("gzip", [parts[1]!]),
    ...(await compressFrame("gzip", [parts[2]!])),
  ];
  const run = spawnSync("gzip", ["-d"], { input: Buffer.concat(frames), maxBuffer: 2 ** 24 });
  expect(run.stderr.toString()).toBe("");
  expect(run.stdout.equals(Buffer.concat(parts))).toBe(true);
});

describe("levels", () => {
  test.each([
    ["zstd", 1, 12],
    ["gzip", 1, 9],
  ] as const)("%s compresses more at a higher level", async (codec, low, high) => {
    const content = Buffer.from(
      Array.from(
        { length: 20_000 },
        (_, n) => `{"order":${n},"customer":"c-${(n * 7919) % 997}"}`,
      ).join("\n"),
    );
    const fast = Buffer.concat(await compressFrame(codec, [content], low));
    const small = Buffer.concat(await compressFrame(codec, [content], high));
    expect(small.length).toBeLessThan(fast.length);
  });
});

describe.each(["snappy", "lz4"] as const)("a frame of %s", (codec) => {
  test("that is damaged in a block and ends in another fails once, and nothing fails unheard", async () => {
    const unheard: unknown[] = [];
    const listener = (reason: unknown) => unheard.push(reason);
    process.on("unhandledRejection", listener);
    try {
      const content = text(9 * 1024 * 1024);
      const frame = Buffer.concat(await compressFrame(codec, [content], undefined));
      // Within the first block, behind its header, where any decoder stumbles.
      frame.fill(0xff, 40, 4_000);
      const cut = frame.subarray(0, frame.length - 8);
      await expect(decompressFrame(codec, cut, content.length)).rejects.toThrow("it ends");
      // A block of its own is behind what the other left in the threadpool.
      const sound = Buffer.concat(await compressFrame(codec, [content], undefined));
      await decompressFrame(codec, sound, content.length);
      await new Promise((resolve) => setImmediate(resolve));
      expect(unheard).toEqual([]);
    } finally {
      process.off("unhandledRejection", listener);
    }
  });
});

describe("snappy chunks", () => {
  test("a chunk whose content does not match its CRC-32C is refused", async () => {
    const frame = Buffer.concat(storeFrame("snappy", [Buffer.from("some content")]));
    frame.writeUInt8(frame.at(-1)! ^ 1, frame.length - 1);
    await expect(decompressFrame("snappy", frame, 12)).rejects.toThrow("CRC-32C");
  });

  test("skippable chunks are skipped, unknown others refused, as the format asks", async () => {
    const frame = Buffer.concat(storeFrame("snappy", [Buffer.from("some content")]));
    const padded = Buffer.concat([frame, Buffer.from("fe030000616263", "hex")]);
    expect((await decompressFrame("snappy", padded, 12)).toString()).toBe("some content");
    const unknown = Buffer.concat([frame, Buffer.from("02030000616263", "hex")]);
    await expect(decompressFrame("snappy", unknown, 12)).rejects.toThrow("unknown type 2");
  });
});

describe("a stored zstd frame", () => {
  const content = randomBytes(300_000);
  const stored = () => Buffer.concat(storeFrame("zstd", [content]));

  test("gives its content without a second buffer", async () => {
    const frame = stored();
    const found = await decompressFrame("zstd", frame, content.length);
    expect(found.buffer).toBe(frame.buffer);
    expect(found.equals(content)).toBe(true);
  });

  test("of another layout than ours is read all the same", async () => {
    const frame = stored();
    // A larger window, and the first byte in a block of its own.
    const first = Buffer.from([1 << 3, 0, 0, content[0]!]);
    const rest = Buffer.concat(storeFrame("zstd", [content.subarray(1)])).subarray(10);
    const other = Buffer.concat([frame.subarray(0, 10), first, rest]);
    other.writeUInt8(8 << 3, 5);
    const found = await decompressFrame("zstd", other, content.length);
    expect(found.equals(content)).toBe(true);
  });

  test("with any bit of its headers flipped is what a standard decoder makes of it", async () => {
    const headers = [
      { at: 0, bytes: 10 },
      ...[0, 1, 2].map((number) => ({ at: 10 + number * (3 + 128 * 1024), bytes: 3 })),
    ];
    for (const { at, bytes } of headers) {
      for (let bit = 0; bit < bytes * 8; bit++) {
        const frame = stored();
        const byte = at + (bit >> 3);
        frame.writeUInt8(frame.readUInt8(byte) ^ (1 << (bit & 7)), byte);
        // In one buffer, as ours: zstd is stricter about windows when it decodes into several.
        const chunkSize = 2 * content.length;
        const standard = await outcomeOf(() => zlib.zstdDecompressSync(frame, { chunkSize }));
        const ours = await outcomeOf(() => decompressFrame("zstd", frame, content.length));
        if (ours !== undefined) expect(standard?.equals(ours), `bit ${bit} at ${at}`).toBe(true);
        else expect(standard?.length, `bit ${bit} at ${at}`).not.toBe(content.length);
      }
    }
  });
});

/** Undefined where it throws. */
async function outcomeOf(decode: () => Buffer | Promise<Buffer>): Promise<Buffer | undefined> {
  try {
    return await decode();
  } catch {
    return undefined;
  }
}
