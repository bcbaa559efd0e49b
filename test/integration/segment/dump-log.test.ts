import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { decompressFrameSync } from "lz4-napi";
import { Decompressor } from "snappy";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { batchCodecs, codecOf } from "#core/kafka/record-batch.ts";
import { type FrameCodec, frameCodecNames } from "#core/segment/codecs.ts";
import { forEachBatch } from "#core/segment/reader.ts";
import { decodeIndex, type SegmentIndex } from "#core/segment/segment-index.ts";
import { openMemory } from "#core/storage/memory.ts";
import { keysOf, writeSegment } from "#test/core/segment/write-segment.ts";
import { connectForTests, createTopic, kafkaForTests } from "#test/support/kafka.ts";

/** DumpLogSegments takes the base offset from the name, and wants this one. */
const logName = "00000000000000000000.log";
const mebibyte = 1024 * 1024;

/** Of one frame; none shares code with what writes segments. */
const standardDecoders: Record<FrameCodec, (frame: Buffer) => Buffer | Promise<Buffer>> = {
  zstd: (frame) => zstdDecompressSync(frame),
  lz4: (frame) => decompressFrameSync(frame),
  gzip: (frame) => gunzipSync(frame),
  async snappy(frame) {
    const stream = new Decompressor();
    return Buffer.concat([stream.update(frame), await stream.finish()]);
  },
  none: (frame) => frame,
};

const kinds = frameCodecNames.flatMap((codec) =>
  (["never", "frame"] as const).map((recompress) => ({ codec, recompress })),
);

const kafka = kafkaForTests();
let cluster: Cluster;
let folder: string;
/** What the broker's partition holds, as it gives it to consumers. */
let fetched: Buffer[];
let brokerLog: Buffer;
/** What DumpLogSegments prints of the broker's own file. */
let brokerDump: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-dump-log-"));
  cluster = await connectForTests();
  const topic = await createTopic(cluster, { prefix: "dump-log", partitionCount: 2 });
  const source = fileURLToPath(new URL("../../support/java/MakeTraffic.java", import.meta.url));
  const scenarios = [...batchCodecs, "odd", "transactions"].map((name) => `${name}:${topic}`);
  const traffic = await kafka.runJava(source, [kafka.bootstrapServers, ...scenarios]);
  expect(traffic, traffic.stderr).toMatchObject({ code: 0 });
  // Enough for several frames.
  const filling = await kafka.tool("org.apache.kafka.tools.ProducerPerformance", [
    ...["--topic", topic, "--num-records", "25000", "--record-size", "800", "--throughput", "-1"],
    ...["--producer-props", `bootstrap.servers=${kafka.bootstrapServers}`],
  ]);
  expect(filling, filling.stderr).toMatchObject({ code: 0 });
  fetched = await fetchAll(topic);
  brokerLog = await readFile(join(kafka.dataDir, `${topic}-0`, logName));
  brokerDump = await dump(brokerLog, "broker");
});

afterAll(async () => {
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

async function fetchAll(topic: string): Promise<Buffer[]> {
  const { endOffset } = await cluster.logEndOffset({ topic, partition: 0 });
  const batches: Buffer[] = [];
  let fetchOffset = 0n;
  while (fetchOffset < endOffset) {
    const { records } = await cluster.fetch({
      ...{ topic, partition: 0, fetchOffset, currentLeaderEpoch: -1 },
      ...{ maxBytes: 16 * mebibyte, maxWaitMs: 500, minBytes: 1, isolation: "read_uncommitted" },
    });
    forEachBatch(records, (header, position) => {
      batches.push(records.subarray(position, position + header.sizeInBytes));
      fetchOffset = header.baseOffset + BigInt(header.lastOffsetDelta) + 1n;
    });
  }
  return batches;
}

/** One line a batch, whose CRC it checks; the file's name apart. */
async function dump(log: Buffer, name: string): Promise<string[]> {
  await mkdir(join(folder, name));
  const file = join(folder, name, logName);
  await writeFile(file, log);
  const tool = "kafka.tools.DumpLogSegments";
  const { stdout, stderr, code } = await kafka.tool(tool, ["--files", file]);
  expect(code, stderr).toBe(0);
  return stdout.split("\n").filter((line) => !line.startsWith("Dumping "));
}

test("the traffic has batches of every codec, and is all that the broker stored", () => {
  const codecs = new Set<string | undefined>();
  for (const batch of fetched) forEachBatch(batch, (header) => codecs.add(codecOf(header)));
  expect(codecs).toEqual(new Set(batchCodecs));
  expect(Buffer.concat(fetched).equals(brokerLog)).toBe(true);
});

describe.each(kinds)("a $codec segment, recompress $recompress", ({ codec, recompress }) => {
  test("decompressed, is to Kafka's DumpLogSegments what the broker's own log is (F1)", async () => {
    const { index, log } = await backUp(codec, recompress);
    expect(log.equals(brokerLog)).toBe(true);
    const lines = await dump(log, `${codec}-${recompress}`);
    expect(lines).toEqual(brokerDump);
    const batches = lines.map(parseBatchLine).filter((batch) => batch !== undefined);
    expect(batches.filter(({ isValid }) => !isValid)).toEqual([]);
    expect(index.frames.length).toBeGreaterThan(1);
    for (const frame of index.frames) {
      const own = batches.filter(
        ({ baseOffset, lastOffset }) =>
          baseOffset >= frame.start_offset && lastOffset <= frame.end_offset,
      );
      expect(frame).toMatchObject({
        start_offset: own[0]!.baseOffset,
        end_offset: own.at(-1)!.lastOffset,
        batch_count: own.length,
        record_count: own.reduce((sum, { count }) => sum + count, 0),
        batch_bytes: own.reduce((sum, { size }) => sum + size, 0),
        max_timestamp: own.map((batch) => batch.maxTimestamp).reduce((a, b) => (a > b ? a : b)),
      });
    }
    const inFrames = index.frames.reduce((sum, frame) => sum + frame.batch_count, 0);
    expect(inFrames).toBe(batches.length);
  });
});

async function backUp(
  codec: FrameCodec,
  recompress: "never" | "frame",
): Promise<{ index: SegmentIndex; log: Buffer }> {
  const storage = openMemory();
  const keys = keysOf(await writeSegment(storage, fetched, { codec, recompress }));
  const segment = await storage.get(keys.segment);
  const index = decodeIndex(await storage.get(keys.index), keys.index);
  const frames: Buffer[] = [];
  for (const { position, stored_bytes } of index.frames) {
    frames.push(await standardDecoders[codec](segment.subarray(position, position + stored_bytes)));
  }
  return { index, log: Buffer.concat(frames) };
}

/** What DumpLogSegments says of a batch, or undefined for another line. */
function parseBatchLine(line: string) {
  if (!line.startsWith("baseOffset: ")) return undefined;
  const field = (name: string) => new RegExp(`(?:^| )${name}: (\\S+)`).exec(line)?.[1] ?? "";
  return {
    baseOffset: BigInt(field("baseOffset")),
    lastOffset: BigInt(field("lastOffset")),
    count: Number(field("count")),
    size: Number(field("size")),
    maxTimestamp: BigInt(field("CreateTime")),
    isValid: field("isvalid") === "true",
  };
}
