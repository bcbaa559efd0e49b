import { describe, expect, test } from "vitest";
import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { frameBytesMax } from "#core/segment/frame-codecs.ts";
import {
  checkIndexAgainst,
  decodeIndex,
  encodeIndex,
  type SegmentIndex,
} from "#core/segment/segment-index.ts";

const key = "backup/topics/orders/partition=0/segment-00000000000000000100-a1.index";

const index: SegmentIndex = {
  format_version: 1,
  segment: "segment-00000000000000000100-a1.zst",
  codec: "zstd",
  topic: "orders",
  partition: 0,
  base_offset: 100n,
  frames: [
    {
      start_offset: 100n,
      end_offset: 149n,
      max_timestamp: 1_700_000_000_500n,
      record_count: 50,
      batch_count: 2,
      position: 0,
      stored_bytes: 1000,
      batch_bytes: 4000,
      sha256: "a".repeat(64),
    },
    {
      start_offset: 160n,
      end_offset: 2n ** 63n - 1n,
      max_timestamp: 1_700_000_000_000n,
      record_count: 7,
      batch_count: 1,
      position: 1000,
      stored_bytes: 300,
      batch_bytes: 900,
      sha256: "b".repeat(64),
    },
  ],
};

const entry: SegmentEntry = {
  key: "topics/orders/partition=0/segment-00000000000000000100-a1.zst",
  start_offset: 100n,
  end_offset: 2n ** 63n - 1n,
  end_timestamp: 1_700_000_000_500n,
  record_count: 57,
  batch_count: 3,
  batch_bytes: 4900,
  stored_bytes: 1300,
  sha256: "c".repeat(64),
  index_bytes: 1,
  index_sha256: "d".repeat(64),
  leader_epochs: [{ epoch: 0, start_offset: 100n }],
};

/** The index as JSON with something changed. */
function altered(
  change: (json: Record<string, unknown>, frames: Record<string, unknown>[]) => void,
) {
  const json = JSON.parse(encodeIndex(index).toString());
  change(json, json.frames);
  return Buffer.from(JSON.stringify(json));
}

test("an index is read as it was written, offsets beyond 2^53 included", () => {
  expect(decodeIndex(encodeIndex(index), key)).toEqual(index);
  expect(encodeIndex(index).toString()).toContain('"end_offset": "9223372036854775807"');
});

test("fields of later versions are left out", () => {
  const bytes = altered((json, frames) => {
    json.encryption = { key_id: 1 };
    frames[0]!.bloom_filter = "AAAA";
  });
  expect(decodeIndex(bytes, key)).toEqual(index);
});

test("a newer format version is refused by name before anything else is looked at (I3)", () => {
  const bytes = Buffer.from('{"format_version": 2, "frames": "elsewhere"}');
  expect(() => decodeIndex(bytes, key)).toThrow(
    expect.objectContaining({
      name: "UnsupportedFormatVersionError",
      message: expect.stringMatching(/segment-00000000000000000100-a1\.index.*version 2.*to 1/),
    }),
  );
});

const malformed: Record<string, Buffer> = {
  "nothing at all": Buffer.alloc(0),
  "half a document": encodeIndex(index).subarray(0, 200),
  "a list": Buffer.from("[]"),
  null: Buffer.from("null"),
  "no version": altered((json) => delete json.format_version),
  "version 0": altered((json) => (json.format_version = 0)),
  "no frames": altered((json) => (json.frames = [])),
  "an unknown codec": altered((json) => (json.codec = "brotli")),
  "an offset of 20 digits": altered((_, frames) => (frames[1]!.end_offset = "9".repeat(20))),
  "an offset with a fraction": altered((_, frames) => (frames[0]!.start_offset = 100.5)),
  "a negative size": altered((_, frames) => (frames[0]!.stored_bytes = -1)),
  "an empty frame": altered((_, frames) => (frames[0]!.batch_bytes = 0)),
  "a frame above the ceiling": altered((_, frames) => (frames[0]!.batch_bytes = frameBytesMax + 1)),
  "a short hash": altered((_, frames) => (frames[0]!.sha256 = "abc")),
  "a hole between frames": altered((_, frames) => (frames[1]!.position = 1001)),
  "overlapping frames": altered((_, frames) => (frames[1]!.position = 999)),
  "a first frame that does not begin the segment": altered((json) => (json.base_offset = 99)),
  "frames that share an offset": altered((_, frames) => (frames[1]!.start_offset = 149)),
  "a frame that ends before it begins": altered((_, frames) => (frames[0]!.end_offset = 99)),
};

test.each(Object.keys(malformed))("an index with %s is refused with its key", (what) => {
  expect(() => decodeIndex(malformed[what]!, key)).toThrow(
    expect.objectContaining({
      name: "CorruptSegmentError",
      message: expect.stringContaining(key),
    }),
  );
});

test("an index that agrees with the run list passes", () => {
  expect(() => checkIndexAgainst(entry, index, key)).not.toThrow();
});

describe("an index is refused when the run list has", () => {
  const contradictions: [keyof SegmentEntry, Partial<SegmentEntry>][] = [
    ["key", { key: entry.key.replace("-a1.", "-b2.") }],
    ["start_offset", { start_offset: 101n }],
    ["end_offset", { end_offset: 200n }],
    ["end_timestamp", { end_timestamp: 1_700_000_000_499n }],
    ["end_timestamp", { end_timestamp: 1_700_000_000_501n }],
    ["record_count", { record_count: 58 }],
    ["batch_count", { batch_count: 4 }],
    ["batch_bytes", { batch_bytes: 4901 }],
    ["stored_bytes", { stored_bytes: 1299 }],
  ];
  test.each(contradictions)("another %s: %o", (field, change) => {
    expect(() => checkIndexAgainst({ ...entry, ...change }, index, key)).toThrow(
      expect.objectContaining({
        name: "CorruptSegmentError",
        message: expect.stringContaining(`in ${field}`),
      }),
    );
  });
});
