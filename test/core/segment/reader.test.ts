import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { frameCodecNames } from "#core/segment/codecs.ts";
import { forEachBatch, readFrames, readIndex } from "#core/segment/reader.ts";
import type { FrameEntry } from "#core/segment/segment-index.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { makeBatch } from "#test/core/segment/make-batch.ts";
import {
  keysOf,
  readSegment,
  thirdOfFrame,
  writeSegment,
} from "#test/core/segment/write-segment.ts";
import { collect } from "#test/support/collect.ts";

function batchesOf(count: number, bodyBytes: number): Buffer[] {
  return Array.from({ length: count }, (_, number) => {
    const body = Buffer.alloc(bodyBytes, `record ${number}, `);
    return makeBatch({ baseOffset: BigInt(number), body, maxTimestamp: BigInt(1000 + number) });
  });
}

/** Three batches a frame. */
async function segmentOfFrames(count: number, codec: (typeof frameCodecNames)[number] = "zstd") {
  const storage = openMemory();
  const batches = batchesOf(count * 3, thirdOfFrame);
  const entry = await writeSegment(storage, batches, { codec });
  return { storage, batches, entry, keys: keysOf(entry) };
}

/** Records the ranged GETs of one key, and can hold them back. */
function watched(storage: StorageBackend, beforeGet?: () => Promise<void>) {
  const gets: [position: number, length: number][] = [];
  const over: Partial<StorageBackend> = {
    async getRange(key, position, length) {
      gets.push([position, length]);
      await beforeGet?.();
      return storage.getRange(key, position, length);
    },
  };
  return { gets, storage: over as StorageBackend };
}

async function replace(
  storage: StorageBackend,
  key: string,
  change: (body: Buffer) => Buffer,
): Promise<void> {
  await storage.put(key, change(await storage.get(key)));
}

describe.each(frameCodecNames)("in a %s segment", (codec) => {
  test("any flipped bit of segment or index is refused with its key (I1)", async () => {
    const storage = openMemory();
    const entry = await writeSegment(storage, batchesOf(4, 500), { codec });
    const keys = keysOf(entry);
    const sizes = { segment: entry.stored_bytes, index: entry.index_bytes };
    const anyBit = fc.constantFrom("segment" as const, "index" as const).chain((which) =>
      fc.record({
        which: fc.constant(which),
        byte: fc.nat(sizes[which] - 1),
        bit: fc.nat(7),
      }),
    );
    await fc.assert(
      fc.asyncProperty(anyBit, async ({ which, byte, bit }) => {
        const good = await storage.get(keys[which]);
        const flipped = Buffer.from(good);
        flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << bit), byte);
        await storage.put(keys[which], flipped);
        const reading = readSegment(storage, entry);
        await expect(reading).rejects.toMatchObject({
          name: "CorruptSegmentError",
          message: expect.stringContaining(keys[which]),
        });
        await storage.put(keys[which], good);
      }),
      { numRuns: 150 },
    );
  });

  test("frames that claim less than they hold are refused, though every hash agrees (S4)", async () => {
    const storage = openMemory();
    const entry = await writeSegment(storage, batchesOf(1, thirdOfFrame), { codec });
    const forged = await forgeIndex(storage, entry, (frame) => ({ ...frame, batch_bytes: 700 }));
    await expect(readSegment(storage, { ...forged, batch_bytes: 700 })).rejects.toMatchObject({
      name: "CorruptSegmentError",
      message: expect.stringMatching(/frame 0 at 0: .* 700 /),
    });
  });
});

/** Rewrites the index and vouches for it, as one could who may write everything. */
async function forgeIndex(
  storage: StorageBackend,
  entry: SegmentEntry,
  change: (frame: FrameEntry) => FrameEntry,
): Promise<SegmentEntry> {
  const key = keysOf(entry).index;
  const json = JSON.parse((await storage.get(key)).toString());
  const body = Buffer.from(JSON.stringify({ ...json, frames: json.frames.map(change) }));
  await storage.put(key, body);
  const index_sha256 = createHash("sha256").update(body).digest("hex");
  return { ...entry, index_bytes: body.length, index_sha256 };
}

describe("a damaged frame", () => {
  test("is named by number and position, and the frames before it are given", async () => {
    const { storage, entry, keys, batches } = await segmentOfFrames(4);
    const index = await readIndex(storage, keys.index, entry);
    const { position } = index.frames[2]!;
    await replace(storage, keys.segment, (body) => body.fill(0, position + 50, position + 51));
    const offsets: bigint[] = [];
    const reading = (async () => {
      for await (const { frame } of readFrames(storage, keys.segment, index, () => true)) {
        offsets.push(frame.start_offset);
      }
    })();
    await expect(reading).rejects.toThrow(`${keys.segment}, frame 2 at ${position}: SHA-256`);
    expect(offsets).toEqual([0n, 3n]);
    expect(batches.length).toBe(12);
  });

  test("does no harm to who does not read it", async () => {
    const { storage, entry, keys } = await segmentOfFrames(3);
    const index = await readIndex(storage, keys.index, entry);
    await replace(storage, keys.segment, (body) => body.fill(0, 10, 20));
    const later = (frame: FrameEntry) => frame.start_offset >= 3n;
    const frames = await collect(readFrames(storage, keys.segment, index, later));
    expect(frames.map(({ frame }) => frame.start_offset)).toEqual([3n, 6n]);
  });
});

describe("an object of another size", () => {
  test.each(["segment", "index"] as const)("a %s that was cut is refused", async (which) => {
    const { storage, entry, keys } = await segmentOfFrames(3);
    await replace(storage, keys[which], (body) => body.subarray(0, -1));
    await expect(readSegment(storage, entry)).rejects.toMatchObject({
      name: "CorruptSegmentError",
      message: expect.stringContaining(keys[which]),
    });
  });

  test.each(["segment", "index"] as const)("a %s that grew is refused", async (which) => {
    const { storage, entry, keys } = await segmentOfFrames(3);
    await replace(storage, keys[which], (body) => Buffer.concat([body, Buffer.alloc(1)]));
    await expect(readSegment(storage, entry)).rejects.toMatchObject({
      name: "CorruptSegmentError",
      message: expect.stringContaining(keys[which]),
    });
  });

  test.each(["segment", "index"] as const)("a %s that is gone is named", async (which) => {
    const { storage, entry, keys } = await segmentOfFrames(1);
    await storage.delete([keys[which]]);
    await expect(readSegment(storage, entry)).rejects.toMatchObject({
      name: "SegmentNotFoundError",
      message: expect.stringContaining(keys[which]),
    });
  });

  test("an index beyond the ceiling is not read at all (S4)", async () => {
    const { storage, entry, keys } = await segmentOfFrames(1);
    const large = { ...entry, index_bytes: 2 ** 40 };
    const { gets, storage: observed } = watched(storage);
    await expect(readIndex(observed, keys.index, large)).rejects.toThrow("limit");
    expect(gets).toEqual([]);
  });
});

test("the index of another segment is refused, though its hash agrees (I1)", async () => {
  const storage = openMemory();
  const [first, second] = [batchesOf(3, 100), batchesOf(3, 100)];
  const entry = await writeSegment(storage, first, { attempt: "a1" });
  const other = await writeSegment(storage, second, { attempt: "b2" });
  const swapped = { ...entry, index_bytes: other.index_bytes, index_sha256: other.index_sha256 };
  await expect(readIndex(storage, keysOf(other).index, swapped)).rejects.toMatchObject({
    name: "CorruptSegmentError",
  });
});

describe("reading", () => {
  test("takes only the wanted frames from the store, neighbours in one GET", async () => {
    const { storage, entry, keys } = await segmentOfFrames(6);
    const index = await readIndex(storage, keys.index, entry);
    const wanted = (frame: FrameEntry) => frame.start_offset !== 6n && frame.start_offset !== 15n;
    const { gets, storage: observed } = watched(storage);
    const frames = await collect(readFrames(observed, keys.segment, index, wanted));
    expect(frames.map(({ frame }) => frame.start_offset)).toEqual([0n, 3n, 9n, 12n]);
    const [a, b, , c, d] = index.frames as FrameEntry[];
    expect(gets).toEqual([
      [a!.position, a!.stored_bytes + b!.stored_bytes],
      [c!.position, c!.stored_bytes + d!.stored_bytes],
    ]);
  });

  test("joins frames up to 2 MiB, and asks one byte beyond the last", async () => {
    const { storage, entry, keys } = await segmentOfFrames(5, "none");
    const index = await readIndex(storage, keys.index, entry);
    const { gets, storage: observed } = watched(storage);
    await collect(readFrames(observed, keys.segment, index, () => true));
    const [a, b, c, d, e] = index.frames as FrameEntry[];
    expect(gets).toEqual([
      [a!.position, a!.stored_bytes + b!.stored_bytes],
      [c!.position, c!.stored_bytes + d!.stored_bytes],
      [e!.position, e!.stored_bytes + 1],
    ]);
  });

  test("makes no request where nothing is wanted", async () => {
    const { storage, entry, keys } = await segmentOfFrames(2);
    const index = await readIndex(storage, keys.index, entry);
    const { gets, storage: observed } = watched(storage);
    expect(await collect(readFrames(observed, keys.segment, index, () => false))).toEqual([]);
    expect(gets).toEqual([]);
  });

  test("fetches ahead of the consumer, and no further than it was told", async () => {
    const { storage, entry, keys } = await segmentOfFrames(8, "none");
    const index = await readIndex(storage, keys.index, entry);
    const { gets, storage: observed } = watched(storage);
    const frames = readFrames(observed, keys.segment, index, () => true, { prefetch: 2 });
    await frames.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // The range of the frame at the consumer and of the one decompressed ahead, and two more.
    expect(gets.length).toBe(3);
    await frames.return();
  });

  test("that stops early leaves no request running", async () => {
    const { storage, entry, keys } = await segmentOfFrames(8, "none");
    const index = await readIndex(storage, keys.index, entry);
    let running = 0;
    const { gets, storage: observed } = watched(storage, async () => {
      running += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
      running -= 1;
    });
    for await (const { frame } of readFrames(observed, keys.segment, index, () => true)) {
      expect(frame.start_offset).toBe(0n);
      break;
    }
    expect(running).toBe(0);
    const asked = gets.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(gets.length).toBe(asked);
    // Of four ranges: the one in use, and the one that is fetched ahead.
    expect(asked).toBe(2);
  });

  test("lets the consumer change what it was given", async () => {
    const { storage, entry, keys, batches } = await segmentOfFrames(4, "lz4");
    const index = await readIndex(storage, keys.index, entry);
    const found: Buffer[] = [];
    for await (const frame of readFrames(storage, keys.segment, index, () => true)) {
      found.push(Buffer.from(frame.batches));
      frame.batches.fill(0);
    }
    expect(Buffer.concat(found).equals(Buffer.concat(batches))).toBe(true);
  });
});

/** With another length in the second batch's header. */
function withLength(bytes: Buffer, length: number): Buffer {
  bytes.writeInt32BE(length, 161 + 8);
  return bytes;
}

describe("each batch of a buffer", () => {
  test("is given with its header and position", () => {
    const batches = batchesOf(3, 100);
    const seen: [bigint, number][] = [];
    forEachBatch(Buffer.concat(batches), (header, position) =>
      seen.push([header.baseOffset, position]),
    );
    const size = batches[0]!.length;
    expect(seen).toEqual([
      [0n, 0],
      [1n, size],
      [2n, 2 * size],
    ]);
  });

  test("an empty buffer has none", () => {
    forEachBatch(Buffer.alloc(0), () => expect.unreachable());
  });

  test.each([
    ["ends in a batch", (bytes: Buffer) => bytes.subarray(0, -1)],
    ["ends in a header", (bytes: Buffer) => bytes.subarray(0, 161 + 8)],
    ["has a batch of negative length", (bytes: Buffer) => withLength(bytes, -12)],
    ["has a batch shorter than its header", (bytes: Buffer) => withLength(bytes, 48)],
  ])("a buffer that %s is refused with the position", (_, change) => {
    const bytes = change(Buffer.concat(batchesOf(2, 100)));
    expect(() => forEachBatch(bytes, () => {})).toThrow(
      expect.objectContaining({
        name: "CorruptRecordBatchError",
        message: expect.stringContaining("at byte 161"),
      }),
    );
  });
});
