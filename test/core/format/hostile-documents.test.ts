/** Documents that somebody has tampered with are refused by name, or read: nothing else. */
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { isBackupError } from "#core/errors.ts";
import { decodeOffsetRuns } from "#core/restore/offset-map.ts";
import { readerOf } from "#test/core/format/golden-documents.ts";
import { goldenObjects, type Objects } from "#test/support/golden-backup.ts";
import { byteChanges, changedBytes, changedJson, jsonChanges } from "#test/support/hostile.ts";

let objects: Objects;
/** One of each kind, and all that are small enough to be changed thousands of times. */
let documents: [key: string, body: Buffer][];
let maps: [key: string, body: Buffer][];

beforeAll(async () => {
  objects = await goldenObjects();
  const all = [...objects].filter(([, body]) => body.length < 64 * 1024);
  documents = all.filter(([key]) => key.endsWith(".json") || key.endsWith(".index"));
  maps = all.filter(([key]) => key.endsWith(".bin"));
});

const refusals = [
  ...["CorruptManifestError", "CorruptSegmentError", "UnsupportedFormatVersionError"],
];

/** Throws what is no refusal. */
function readOrRefuse(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!isBackupError(error)) throw error;
    expect(refusals).toContain(error.name);
    expect(error.message).not.toBe("");
  }
}

const oneOf = <T>(items: readonly T[], at: number) => items[Math.floor(at * items.length)]!;
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("S2, I1: a document with hostile values in the place of its own is read or refused by name", () => {
  fc.assert(
    fc.property(share, jsonChanges, (at, changes) => {
      const [key, body] = oneOf(documents, at);
      const changed = JSON.stringify(changedJson(JSON.parse(body.toString()), changes)) ?? "";
      readOrRefuse(() => readerOf(key).read(key, Buffer.from(changed)));
    }),
    { numRuns: 2_000 },
  );
  expect(({} as Record<string, unknown>).x).toBeUndefined();
});

test("I1: a document with other bytes is read or refused by name", () => {
  fc.assert(
    fc.property(share, byteChanges, (at, changes) => {
      const [key, body] = oneOf(documents, at);
      readOrRefuse(() => readerOf(key).read(key, changedBytes(body, changes)));
    }),
    { numRuns: 2_000 },
  );
});

test("I1: any bytes, and any JSON, are read or refused by name", () => {
  fc.assert(
    fc.property(share, fc.oneof(fc.uint8Array(), fc.json()), (at, content) => {
      const [key] = oneOf(documents, at);
      readOrRefuse(() => readerOf(key).read(key, Buffer.from(content as string)));
    }),
    { numRuns: 2_000 },
  );
});

test("I1: JSON that is nested 100,000 deep is read or refused by name", () => {
  for (const [key] of documents.slice(0, 30)) {
    const depth = 100_000;
    const body = Buffer.from("[".repeat(depth) + "]".repeat(depth));
    readOrRefuse(() => readerOf(key).read(key, body));
  }
});

test("I1: an offset map with other bytes is read or refused by name", () => {
  expect(maps.length).toBeGreaterThan(3);
  fc.assert(
    fc.property(share, byteChanges, (at, changes) => {
      const [key, body] = oneOf(maps, at);
      readOrRefuse(() => decodeOffsetRuns(changedBytes(body, changes), key));
    }),
    { numRuns: 2_000 },
  );
});
