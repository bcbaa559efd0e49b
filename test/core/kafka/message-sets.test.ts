import { crc32, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import { withRecordBatches } from "#core/kafka/message-sets.ts";
import { codecOf, isLogAppendTime, type RecordBatchHeader } from "#core/kafka/record-batch.ts";
import { decodeRecords, type KafkaRecord } from "#core/kafka/records.ts";
import {
  type OldCodec,
  type OldRecord,
  oldMessage,
  oldWrapper,
} from "#test/support/message-sets.ts";

const at = { topic: "old", partition: 0 };
const noBorder = { border: 2n ** 62n };

interface Decoded {
  readonly headers: RecordBatchHeader[];
  readonly records: KafkaRecord[];
}

/** Every batch passes what is checked of each before it is archived (F6). */
function decode(batches: Buffer): Decoded {
  const headers: RecordBatchHeader[] = [];
  const records: KafkaRecord[] = [];
  for (let position = 0; position < batches.length; ) {
    const header = checkBatch(batches, position, at);
    const body = bodyOf(header, batches, position, at, batchBodyBytesMax);
    headers.push(header);
    records.push(...decodeRecords(header, body, at));
    position += header.sizeInBytes;
  }
  return { headers, records };
}

const plain = ({ offset, timestamp, key, value }: OldRecord): KafkaRecord => ({
  offset,
  timestamp,
  key,
  value,
  headers: [],
});

const bytes = fc.option(
  fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array)),
  { nil: null },
);

interface Entry {
  readonly magic: 0 | 1 | 2;
  readonly codec: OldCodec;
  readonly appendTime: bigint | undefined;
  readonly records: readonly {
    readonly hole: number;
    readonly timestamp: bigint;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
  }[];
}

const entry: fc.Arbitrary<Entry> = fc.record({
  magic: fc.constantFrom(0, 1, 1, 2),
  codec: fc.constantFrom("none", "gzip", "snappy", "lz4"),
  appendTime: fc.option(fc.bigInt(0n, 2n ** 45n), { nil: undefined }),
  records: fc.array(
    fc.record({
      hole: fc.nat(3),
      timestamp: fc.oneof(fc.constant(-1n), fc.bigInt(0n, 2n ** 45n)),
      key: bytes,
      value: bytes,
    }),
    { minLength: 1, maxLength: 12 },
  ),
});

/** A log of such entries and what a consumer reads of it. */
function logOf(entries: readonly Entry[], firstOffset: bigint) {
  const pieces: Buffer[] = [];
  const expected: KafkaRecord[] = [];
  let next = firstOffset;
  for (const { magic, codec, appendTime, records } of entries) {
    const set: OldRecord[] = records.map(({ hole, timestamp, key, value }) => {
      const offset = next + BigInt(hole);
      next = offset + 1n;
      return { offset, timestamp: magic === 0 ? -1n : timestamp, key, value };
    });
    const time = magic === 1 ? appendTime : undefined;
    if (magic === 2) {
      const [{ offset: baseOffset }] = set as [OldRecord];
      const deltas = set.map((r) => ({ ...r, offsetDelta: Number(r.offset - baseOffset) }));
      pieces.push(encodeBatch(deltas, { codec, baseOffset }));
    } else if (codec === "none") {
      const appended = set.map((r) => ({ ...r, timestamp: time ?? r.timestamp }));
      const appends = { appendTime: time !== undefined };
      pieces.push(...appended.map((record) => oldMessage(magic, record, appends)));
    } else {
      const options = { codec, ...(time !== undefined && { appendTime: time }) };
      pieces.push(oldWrapper(magic, set, options));
    }
    expected.push(...set.map((r) => plain({ ...r, timestamp: time ?? r.timestamp })));
  }
  return { log: Buffer.concat(pieces), expected };
}

test("F1: records of any mixture of formats, codecs, times and holes come out as they went in", () => {
  fc.assert(
    fc.property(
      fc.array(entry, { minLength: 1, maxLength: 8 }),
      fc.bigInt(0n, 2n ** 50n),
      (entries, firstOffset) => {
        const { log, expected } = logOf(entries, firstOffset);
        expect(decode(withRecordBatches(log, at, noBorder)).records).toEqual(expected);
      },
    ),
    { numRuns: 300 },
  );
});

test("F2: a log cut anywhere gives its whole messages, and the rest stays for the next fetch", () => {
  fc.assert(
    fc.property(
      fc.array(entry, { minLength: 1, maxLength: 4 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (entries, share) => {
        const { log, expected } = logOf(entries, 7n);
        const cut = Math.floor(log.length * share);
        const converted = withRecordBatches(log.subarray(0, cut), at, noBorder);
        let whole = 0;
        for (let size = 0; whole < cut; whole += size) {
          size = 12 + log.readInt32BE(whole + 8);
          if (whole + size > cut) break;
        }
        const rest = log.subarray(whole, cut);
        expect(converted.subarray(converted.length - rest.length).equals(rest)).toBe(true);
        const { records } = decode(converted.subarray(0, converted.length - rest.length));
        expect(records).toEqual(expected.slice(0, records.length));
        const { records: left } = decode(withRecordBatches(log.subarray(whole), at, noBorder));
        expect([...records, ...left]).toEqual(expected);
      },
    ),
    { numRuns: 200 },
  );
});

test("F2: no batch of plain messages reaches across a border, wherever it is", () => {
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 6 }), fc.nat(80), (entries, offset) => {
      const uncompressed = entries.map((each) => ({ ...each, codec: "none" as const }));
      const { log, expected } = logOf(
        uncompressed.filter(({ magic }) => magic !== 2),
        0n,
      );
      const border = BigInt(offset);
      const { headers, records } = decode(withRecordBatches(log, at, { border }));
      expect(records).toEqual(expected);
      for (const { baseOffset, lastOffsetDelta } of headers) {
        expect(baseOffset < border).toBe(baseOffset + BigInt(lastOffsetDelta) < border);
      }
    }),
  );
});

const record = (offset: bigint, text: string, timestamp = 1_000n): OldRecord => ({
  offset,
  timestamp,
  key: null,
  value: Buffer.from(text),
});

test("record batches are handed on as the same buffer", () => {
  const batch = encodeBatch([record(0n, "a")], { codec: "none" });
  const cut = Buffer.concat([batch, batch.subarray(0, 30)]);
  expect(withRecordBatches(cut, at, noBorder)).toBe(cut);
  expect(withRecordBatches(Buffer.alloc(0), at, noBorder)).toHaveLength(0);
});

test("F7: a compressed message keeps its codec and its timestamp type", () => {
  for (const codec of ["gzip", "snappy", "lz4"] as const) {
    const set = oldWrapper(1, [record(5n, "a"), record(6n, "b")], { codec, appendTime: 99n });
    const { headers } = decode(withRecordBatches(set, at, noBorder));
    expect(headers.map(codecOf)).toEqual([codec]);
    expect(headers.map(isLogAppendTime)).toEqual([true]);
    expect(headers[0]).toMatchObject({ baseOffset: 5n, lastOffsetDelta: 1, maxTimestamp: 99n });
  }
});

test("plain messages are gathered, but not beyond 256 KiB and never with another append time", () => {
  const large = Array.from({ length: 20 }, (_, i) => record(BigInt(i), "x".repeat(100_000)));
  const gathered = decode(
    withRecordBatches(Buffer.concat(large.map((each) => oldMessage(0, each))), at, noBorder),
  );
  expect(gathered.headers.map(({ recordCount }) => recordCount)).toEqual(Array(10).fill(2));
  const times = [7n, 7n, 8n, 8n].map((time, i) =>
    oldMessage(1, record(BigInt(i), "a", time), { appendTime: true }),
  );
  const timed = decode(withRecordBatches(Buffer.concat(times), at, noBorder));
  expect(timed.headers.map(({ maxTimestamp }) => maxTimestamp)).toEqual([7n, 8n]);
});

test("a magic 0 frame of LZ4 is read in spite of its header checksum, which was always wrong", () => {
  const set = oldWrapper(0, [record(1n, "a")], { codec: "lz4" });
  // Behind offset, size, CRC, magic, attributes and two lengths: HC is the frame's seventh byte.
  const checksumAt = 26 + 6;
  set[checksumAt]! ^= 0xff;
  set.writeUInt32BE(crc32(set.subarray(16)), 12);
  expect(decode(withRecordBatches(set, at, noBorder)).records).toEqual([
    plain({ ...record(1n, "a"), timestamp: -1n }),
  ]);
});

describe("F6: damage", () => {
  const good = oldMessage(1, record(0n, "good"));
  const set = oldMessage(1, record(1n, "damaged"));

  test("of any bit behind a message's size is found, and named with topic and offset", () => {
    for (let bit = 12 * 8; bit < set.length * 8; bit++) {
      const damaged = Buffer.from(set);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      // With a magic of 2 it is no message any more: the check of batches refuses it.
      if (damaged[16]! > 1) {
        expect(() => checkBatch(withRecordBatches(damaged, at, noBorder), 0, at)).toThrow();
        continue;
      }
      expect(() => withRecordBatches(damaged, at, noBorder)).toThrow(
        expect.objectContaining({
          name: "CorruptRecordBatchError",
          message: expect.stringContaining("old-0 at offset 1: message format"),
        }),
      );
    }
  });

  test("is met when all that lies before it is done", () => {
    const damaged = Buffer.from(set);
    damaged[20]! ^= 1;
    const { records } = decode(
      withRecordBatches(Buffer.concat([good, damaged, good]), at, noBorder),
    );
    expect(records).toEqual([plain(record(0n, "good"))]);
  });

  const compressed = { codec: "gzip" } as const;
  test.each([
    ["has no value", oldMessage(1, { ...record(0n, ""), value: null }, compressed)],
    ["holds none", oldMessage(1, { ...record(0n, ""), value: gzipSync("") }, compressed)],
    ["ends in a part", oldMessage(1, { ...record(0n, ""), value: gzipSync("part") }, compressed)],
    ["offsets fall", oldWrapper(1, [record(4n, "a"), record(4n, "b")], compressed)],
    [
      "holds a compressed one",
      oldMessage(
        1,
        { ...record(9n, ""), value: gzipSync(oldWrapper(1, [record(9n, "a")], compressed)) },
        compressed,
      ),
    ],
    [
      "holds one of message format 0",
      oldMessage(
        1,
        { ...record(9n, ""), value: gzipSync(oldMessage(0, record(9n, "a"))) },
        compressed,
      ),
    ],
    [
      "less than 5, its last one's",
      oldMessage(
        1,
        { ...record(3n, ""), value: gzipSync(oldMessage(1, record(5n, "a"))) },
        compressed,
      ),
    ],
  ])("of a compressed message is refused: it %s", (problem, message) => {
    expect(() => withRecordBatches(message, at, noBorder)).toThrow(
      expect.objectContaining({
        name: "CorruptRecordBatchError",
        message: expect.stringContaining(problem),
      }),
    );
  });
});
