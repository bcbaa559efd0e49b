import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BatchCodec, batchCodecs, readBatchHeader } from "#core/kafka/record-batch.ts";
import { type FrameCodec, frameCodecNames } from "#core/segment/codecs.ts";
import { readIndex } from "#core/segment/reader.ts";
import { frameBatchBytes, framesInFlightMax, SegmentWriter } from "#core/segment/writer.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { makeBatch } from "#test/core/segment/make-batch.ts";
import {
  backupId,
  keysOf,
  optionsFor,
  readSegment,
  thirdOfFrame,
  writeSegment,
} from "#test/core/segment/write-segment.ts";
import { collect } from "#test/support/collect.ts";

const mebibyte = 1024 * 1024;

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** One batch after the other, ten records each, bodies of `bodyBytes` of text. */
function textBatches(count: number, bodyBytes: number, codec: BatchCodec = "none"): Buffer[] {
  const body = Buffer.alloc(bodyBytes, '{"order":12345,"customer":"someone"}\n');
  return Array.from({ length: count }, (_, number) =>
    makeBatch({ baseOffset: BigInt(number * 10), recordCount: 10, body, codec }),
  );
}

const anyBatch = fc.record({
  offsetsSkipped: fc.bigInt({ min: 0n, max: 5n }),
  recordCount: fc.integer({ min: 1, max: 1000 }),
  codec: fc.constantFrom(...batchCodecs),
  maxTimestamp: fc.bigInt({ min: -1n, max: 2n ** 62n }),
  leaderEpoch: fc.integer({ min: 0, max: 3 }),
  bodyBytes: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 3000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 140_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 2 * mebibyte, max: 5 * mebibyte }) },
  ),
  isNoise: fc.boolean(),
  /** Lies behind the batch before in memory, as in a fetched buffer. */
  isAdjacent: fc.boolean(),
});
type AnyBatch = typeof anyBatch extends fc.Arbitrary<infer T> ? T : never;

function build(list: readonly AnyBatch[], firstOffset: bigint): Buffer[] {
  let baseOffset = firstOffset;
  const batches = list.map(({ offsetsSkipped, bodyBytes, isNoise, ...fields }, number) => {
    if (number > 0) baseOffset += offsetsSkipped;
    const body = isNoise ? randomBytes(bodyBytes) : Buffer.alloc(bodyBytes, "text ");
    const batch = makeBatch({ ...fields, baseOffset, body });
    baseOffset += BigInt(fields.recordCount);
    return batch;
  });
  const fetched = Buffer.concat(batches);
  let position = 0;
  return batches.map((batch, number) => {
    const start = position;
    position += batch.length;
    return list[number]!.isAdjacent ? fetched.subarray(start, position) : batch;
  });
}

describe.each(frameCodecNames)("a %s segment", (codec) => {
  test("gives the batches back byte for byte, whatever they are (F1)", async () => {
    const batchLists = fc.array(anyBatch, { minLength: 1, maxLength: 25 });
    const recompress = fc.constantFrom("never" as const, "frame" as const);
    await fc.assert(
      fc.asyncProperty(
        batchLists,
        fc.bigInt({ min: 0n, max: 2n ** 62n }),
        recompress,
        async (list, firstOffset, mode) => {
          const batches = build(list, firstOffset);
          const storage = openMemory();
          const entry = await writeSegment(storage, batches, { codec, recompress: mode });
          const found = await readSegment(storage, entry);
          expect(found.equals(Buffer.concat(batches))).toBe(true);
          const headers = batches.map((batch) => readBatchHeader(batch));
          const last = headers.at(-1)!;
          expect(entry).toMatchObject({
            start_offset: firstOffset,
            end_offset: last.baseOffset + BigInt(last.lastOffsetDelta),
            end_timestamp: headers.map((h) => h.maxTimestamp).reduce((a, b) => (a > b ? a : b)),
            record_count: headers.reduce((sum, h) => sum + h.recordCount, 0),
            batch_count: batches.length,
            batch_bytes: found.length,
          });
        },
      ),
      { numRuns: 12 },
    );
  });

  test("has the SHA-256 and size of its object, and so has each frame (I2)", async () => {
    const storage = openMemory();
    const batches = textBatches(11, thirdOfFrame);
    const entry = await writeSegment(storage, batches, { codec });
    const keys = keysOf(entry);
    const object = await storage.get(keys.segment);
    expect([entry.sha256, entry.stored_bytes]).toEqual([sha256(object), object.length]);
    const indexObject = await storage.get(keys.index);
    expect([entry.index_sha256, entry.index_bytes]).toEqual([
      sha256(indexObject),
      indexObject.length,
    ]);
    const { frames } = await readIndex(storage, keys.index, entry);
    expect(frames.length).toBe(4);
    for (const { position, stored_bytes, sha256: recorded } of frames) {
      expect(recorded).toBe(sha256(object.subarray(position, position + stored_bytes)));
    }
  });
});

test("frames hold up to 1 MiB of batches, or one larger batch", async () => {
  const storage = openMemory();
  const small = textBatches(9, thirdOfFrame);
  const large = makeBatch({ baseOffset: 90n, body: Buffer.alloc(2 * frameBatchBytes, "x") });
  const after = makeBatch({ baseOffset: 91n, body: Buffer.alloc(10) });
  const entry = await writeSegment(storage, [...small, large, after]);
  const { frames } = await readIndex(storage, keysOf(entry).index, entry);
  expect(frames.map(({ batch_count }) => batch_count)).toEqual([3, 3, 3, 1, 1]);
  expect(frames.map(({ start_offset }) => start_offset)).toEqual([0n, 30n, 60n, 90n, 91n]);
});

test("leader epochs are recorded where each begins", async () => {
  const batches = [4, 4, 7, 7, 9].map((leaderEpoch, number) =>
    makeBatch({ baseOffset: BigInt(100 + number), body: Buffer.alloc(5), leaderEpoch }),
  );
  const entry = await writeSegment(openMemory(), batches);
  expect(entry.leader_epochs).toEqual([
    { epoch: 4, start_offset: 100n },
    { epoch: 7, start_offset: 102n },
    { epoch: 9, start_offset: 104n },
  ]);
});

describe.each(["zstd", "lz4", "gzip", "snappy"] as const)("into %s, ", (codec) => {
  async function isStored(batches: readonly Buffer[], recompress: "never" | "frame") {
    const storage = openMemory();
    const entry = await writeSegment(storage, batches, { codec, recompress });
    return entry.stored_bytes >= entry.batch_bytes;
  }
  const compressed = textBatches(6, 50_000, "lz4");
  const plain = textBatches(6, 50_000);

  test("frames of batches that producers compressed are stored as they are", async () => {
    expect(await isStored(compressed, "never")).toBe(true);
  });

  test("they are compressed once more when that is asked for", async () => {
    expect(await isStored(compressed, "frame")).toBe(false);
  });

  test("the greater part of a frame's bytes decides", async () => {
    expect(await isStored([...compressed.slice(0, 4), ...plain.slice(4)], "never")).toBe(true);
    expect(await isStored([...compressed.slice(0, 2), ...plain.slice(2)], "never")).toBe(false);
  });
});

test("a level is passed on to the codec", async () => {
  const lines = Array.from({ length: 30_000 }, (_, n) => `{"n":${n},"c":${(n * 7919) % 997}}`);
  const batch = makeBatch({ baseOffset: 0n, body: Buffer.from(lines.join("\n")) });
  const fast = await writeSegment(openMemory(), [batch], { codec: "gzip", level: 1 });
  const small = await writeSegment(openMemory(), [batch], { codec: "gzip", level: 9 });
  expect(small.stored_bytes).toBeLessThan(fast.stored_bytes);
});

interface Hooks {
  readonly write?: (chunk: Uint8Array) => Promise<void>;
  readonly commit?: (key: string) => void;
  readonly create?: (key: string) => void;
}

/** A real storage in memory, with something happening before its writes. */
function hooked(storage: StorageBackend, hooks: Hooks): StorageBackend {
  const over: Partial<StorageBackend> = {
    async createStream(key) {
      const writer = await storage.createStream(key);
      return {
        async write(chunk) {
          await hooks.write?.(chunk);
          await writer.write(chunk);
        },
        async commit() {
          hooks.commit?.(key);
          return writer.commit();
        },
        abort: () => writer.abort(),
      };
    },
    async createIfAbsent(key, body) {
      hooks.create?.(key);
      return storage.createIfAbsent(key, body);
    },
    getRange: (key, position, length) => storage.getRange(key, position, length),
  };
  return over as StorageBackend;
}

describe.each([
  ["none", "none"],
  ["lz4", "zstd"],
] as const)("%s batches into %s", (batchCodec: BatchCodec, codec: FrameCodec) => {
  test("a slow store holds the reader back: no more than three frames are in memory", async () => {
    let written = 0;
    let appended = 0;
    let outstandingMax = 0;
    const write = async (chunk: Uint8Array) => {
      await new Promise((resolve) => setImmediate(resolve));
      written += chunk.length;
    };
    const writer = await SegmentWriter.open(
      hooked(openMemory(), { write }),
      optionsFor([], { codec }),
    );
    for (let number = 0; number < 256; number++) {
      const body = Buffer.allocUnsafe(thirdOfFrame);
      const batch = makeBatch({ baseOffset: BigInt(number), body, codec: batchCodec });
      await writer.append(batch, readBatchHeader(batch));
      appended += batch.length;
      outstandingMax = Math.max(outstandingMax, appended - written);
    }
    const entry = await writer.finish();
    expect([entry.batch_bytes, entry.stored_bytes]).toEqual([appended, written]);
    expect(appended).toBeGreaterThan(64 * frameBatchBytes);
    expect(outstandingMax).toBeLessThanOrEqual((framesInFlightMax + 1) * frameBatchBytes);
  });
});

test("the segment is published before its index, and both before finish answers (C1)", async () => {
  const events: string[] = [];
  const storage = hooked(openMemory(), {
    commit: (key) => events.push(key),
    create: (key) => events.push(key),
  });
  const keys = keysOf(await writeSegment(storage, textBatches(1, 100)));
  expect(events).toEqual([keys.segment, keys.index]);
});

test("nothing is seen in the store before finish, and nothing after abort", async () => {
  const storage = openMemory();
  const writer = await SegmentWriter.open(storage, optionsFor([]));
  for (const batch of textBatches(9, thirdOfFrame)) {
    await writer.append(batch, readBatchHeader(batch));
  }
  await writer.abort();
  await writer.abort();
  expect(await collect(storage.list(""))).toEqual([]);
  const [batch] = textBatches(1, 10);
  await expect(writer.append(batch!, readBatchHeader(batch!))).rejects.toThrow("discarded");
});

test("abort after finish leaves the segment", async () => {
  const storage = openMemory();
  const [batch] = textBatches(1, 10);
  const writer = await SegmentWriter.open(storage, optionsFor([]));
  await writer.append(batch!, readBatchHeader(batch!));
  const entry = await writer.finish();
  await writer.abort();
  expect((await readSegment(storage, entry)).equals(batch!)).toBe(true);
});

test("the same segment again, after a lost answer, is the same success (C4)", async () => {
  const storage = openMemory();
  const batches = textBatches(20, mebibyte);
  const first = await writeSegment(storage, batches, { codec: "none" });
  expect(await writeSegment(storage, batches, { codec: "none" })).toEqual(first);
});

test.each([
  ["other content", (body: Buffer) => body.fill(0, body.length - 1)],
  ["a shorter object", (body: Buffer) => body.subarray(0, -1)],
  ["a longer object", (body: Buffer) => Buffer.concat([body, Buffer.alloc(1)])],
])("%s under the segment's or the index's key is a conflict, and stays", async (_, change) => {
  for (const which of ["segment", "index"] as const) {
    const storage = openMemory();
    const batches = textBatches(2, 1000);
    const key = keysOf(await writeSegment(storage, batches))[which];
    const foreign = change(await storage.get(key));
    await storage.put(key, foreign);
    await expect(writeSegment(storage, batches)).rejects.toMatchObject({
      name: "BackupConflictError",
      message: expect.stringContaining(key),
    });
    expect((await storage.get(key)).equals(foreign)).toBe(true);
  }
});

test("a failed write is thrown by a later append or by finish, and publishes nothing", async () => {
  const inner = openMemory();
  let writes = 0;
  const storage = hooked(inner, {
    async write() {
      writes += 1;
      if (writes > 3) throw new Error("the disk is full");
    },
  });
  const batches = textBatches(30, thirdOfFrame, "lz4");
  await expect(writeSegment(storage, batches)).rejects.toThrow("the disk is full");
  await expect(writeSegment(storage, batches.slice(0, 3))).rejects.toThrow("the disk is full");
  expect(writes).toBe(5);
  expect(await collect(inner.list(""))).toEqual([]);
});

describe("refused with topic, partition and offset is a batch", () => {
  const [first, second] = textBatches(2, 100) as [Buffer, Buffer];
  async function appendBoth(a: Buffer, b: Buffer, header = readBatchHeader(b)) {
    const writer = await SegmentWriter.open(openMemory(), optionsFor([first]));
    await writer.append(a, readBatchHeader(a));
    await writer.append(b, header);
  }
  const refusal = (offset: number) => ({
    name: "CorruptRecordBatchError",
    message: expect.stringContaining(`orders-3 offset ${offset}`),
  });

  test("that overlaps the one before", async () => {
    const overlapping = makeBatch({ baseOffset: 9n, body: Buffer.alloc(1) });
    await expect(appendBoth(first, overlapping)).rejects.toMatchObject(refusal(9));
  });

  test("that is not the first of the segment's key", async () => {
    await expect(appendBoth(second, first)).rejects.toMatchObject(refusal(10));
  });

  test("whose last offset is before its first", async () => {
    const backwards = makeBatch({ baseOffset: 10n, body: Buffer.alloc(1), lastOffsetDelta: -1 });
    await expect(appendBoth(first, backwards)).rejects.toMatchObject(refusal(10));
  });

  test("that is not as long as its header says", async () => {
    const cut = second.subarray(0, -1);
    const header = readBatchHeader(second);
    await expect(appendBoth(first, cut, header)).rejects.toMatchObject(refusal(10));
  });
});

test("a segment without batches cannot be finished", async () => {
  const writer = await SegmentWriter.open(openMemory(), optionsFor([]));
  await expect(writer.finish()).rejects.toMatchObject({ name: "InvalidRequestError" });
});

test("keys are the backup's, with the codec's extension", async () => {
  const storage = openMemory();
  const batches = [makeBatch({ baseOffset: 42n, body: Buffer.alloc(1) })];
  const entry = await writeSegment(storage, batches, { codec: "snappy" });
  const stem = "topics/orders/partition=3/segment-00000000000000000042-a1";
  expect(entry.key).toBe(`${stem}.sz`);
  const keys = (await collect(storage.list(""))).map(({ key }) => key);
  expect(keys).toEqual([`${backupId}/${stem}.index`, `${backupId}/${stem}.sz`]);
});
