import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import { batchHeaderBytes, readBatchHeader } from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";
import { comparedRecord, comparedRecordsMax, RecordSearch } from "#core/offsets/content-match.ts";

const at = { topic: "orders", partition: 0 };

function* cursors(records: readonly NewRecord[]): Generator<RecordCursor> {
  if (records.length === 0) return;
  const batch = encodeBatch(records, { codec: "none" });
  const cursor = new RecordCursor(readBatchHeader(batch), batch.subarray(batchHeaderBytes), at);
  while (cursor.next()) yield cursor;
}

const record = (text: string, headers: NewRecord["headers"] = []): NewRecord => ({
  timestamp: 5n,
  key: null,
  value: Buffer.from(text),
  headers,
});
const contentOf = (one: NewRecord) => Array.from(cursors([one]), comparedRecord)[0]!.content;

/** Looks for the first of `sought`, letter by letter, in the letters of `target`. */
function search(sought: string, target: string): RecordSearch {
  const recordsOf = (letters: string) => cursors(Array.from(letters, (letter) => record(letter)));
  const found = new RecordSearch(Array.from(recordsOf(sought), comparedRecord), 0n);
  for (const cursor of recordsOf(target)) found.compare(cursor);
  return found;
}

describe("two records are equal", () => {
  const added = [
    { key: "x-original-offset", value: Buffer.alloc(8) },
    { key: "x-original-timestamp", value: Buffer.alloc(8) },
  ];
  const own = [
    { key: "a", value: Buffer.from("1") },
    { key: "b", value: null },
  ];

  test("with or without the headers that a restore adds", () => {
    expect(contentOf(record("x", [...own, ...added]))).toBe(contentOf(record("x", own)));
  });

  test.each<[string, Partial<NewRecord>]>([
    ["another value", { value: Buffer.from("y") }],
    ["a null value", { value: null }],
    ["an empty value", { value: Buffer.alloc(0) }],
    ["an empty key", { key: Buffer.alloc(0) }],
    ["the value as the key", { key: Buffer.from("x"), value: null }],
    ["another timestamp", { timestamp: 6n }],
    ["a header less", { headers: own.slice(1) }],
    ["headers in another order", { headers: own.toReversed() }],
    ["an empty header in place of null", { headers: [own[0]!, { key: "b", value: Buffer.of() }] }],
  ])("not with %s", (_, change) => {
    expect(contentOf({ ...record("x", own), ...change })).not.toBe(contentOf(record("x", own)));
  });
});

test("equal records are told apart by those behind them", () => {
  expect(search("aab", "aacaab").result()).toEqual({ target_offset: 3n });
  expect(search("ab", "aaab").result()).toEqual({ target_offset: 2n });
});

test("where those behind differ, the longest equal part counts, and that is said", () => {
  expect(search("abcd", "abxabc").result()).toEqual({
    target_offset: 3n,
    note: "only 3 of the 4 records from there on are equal",
  });
});

test("places that are equal all along are no match", () => {
  expect(search("ab", "abxab").result()).toEqual({
    target_offset: null,
    note: "no match: 2 places are equal in 2 records, the first at offset 0",
  });
});

test("the last record of a backup is no match while equal ones are around", () => {
  expect(search("a", "aaa").isSettled).toBe(false);
  expect(search("a", "aaa").result()).toMatchObject({ target_offset: null });
});

test("nothing equal is said as such", () => {
  expect(search("a", "xyz").result()).toEqual({
    target_offset: null,
    note: "no match: no record of offsets [0, 3) is equal",
  });
  expect(new RecordSearch([{ timestamp: 5n, content: "" }], undefined).result()).toEqual({
    target_offset: null,
    note: "no match: the target holds no record of its time 5 or later",
  });
});

test("a search is settled when nothing more can change its result", () => {
  const sought = "ab".padEnd(comparedRecordsMax, "c");
  expect(search(sought, sought.slice(0, -1)).isSettled).toBe(false);
  expect(search(sought, `x${sought}`).isSettled).toBe(true);
  const same = "a".repeat(comparedRecordsMax);
  expect(search(same, `${same}a`).isSettled).toBe(false);
});

test("the place of the longest equal part is found, against a model that tries every place", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(letters, letters, (sought, target) => {
      const lengths = Array.from(target, (_, place) => {
        let equal = 0;
        while (equal < sought.length && target[place + equal] === sought[equal]) equal++;
        return equal;
      });
      const longest = Math.max(...lengths);
      const places = lengths.flatMap((length, place) => (length === longest ? [place] : []));
      const isFound = longest > 0 && places.length === 1;
      const { target_offset } = search(sought, target).result();
      expect(target_offset).toBe(isFound ? BigInt(places[0]!) : null);
    }),
    { numRuns: 500 },
  );
});
