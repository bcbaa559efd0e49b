import { expect, test } from "vitest";
import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import { type Deadline, deadlineAt } from "#core/runtime.ts";
import { frameBatchBytes } from "#core/segment/writer.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import { validateSegment } from "#core/validate/segment.ts";
import { backupId, keysOf, writeSegment } from "#test/core/segment/write-segment.ts";
import { syntheticBatch, syntheticBatches } from "#test/support/synthetic-backup.ts";

const noDeadline = deadlineAt(systemClock, Infinity);

function validate(
  storage: StorageBackend,
  segment: SegmentEntry,
  deadline: Deadline = noDeadline,
  level: ValidationItem["level"] = "deep",
) {
  const item = { backup_id: backupId, level, topic: "orders", partition: 3, lineage: 1, segment };
  return validateSegment({ storage }, item, deadline);
}

function withCrc(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

async function codesOf(batches: readonly Buffer[], edit: (entry: SegmentEntry) => void = () => {}) {
  const storage = openMemory();
  const entry = await writeSegment(storage, batches, { codec: "none" });
  edit(entry);
  const { findings } = await validate(storage, entry);
  return findings.map(({ code, offset }) => [code, offset]);
}

for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
  test(`F7: a sound segment with ${codec} batches has no findings, and all of it is read`, async () => {
    const storage = openMemory();
    const batches = syntheticBatches(0n, 5, 4, { codec });
    const entry = await writeSegment(storage, batches, { codec: "zstd" });
    const result = await validate(storage, entry);
    expect(result.findings).toEqual([]);
    expect(result.read).toEqual({ bytes: entry.stored_bytes, batches: 5, records: 20 });
  });
}

test("a damaged frame does not hide the damage of the next one", async () => {
  const storage = openMemory();
  const value = "v".repeat(frameBatchBytes - 100);
  const batches = [0n, 1n, 2n].map((offset) => syntheticBatch(offset, [{ value }]));
  const entry = await writeSegment(storage, batches, { codec: "none" });
  const key = keysOf(entry).segment;
  const body = await storage.get(key);
  body[1000]! ^= 1;
  body[body.length - 1000]! ^= 1;
  await storage.put(key, body);
  const { findings, status } = await validate(storage, entry);
  expect(status).toBe("done");
  expect(findings.map(({ code, offset }) => [code, offset])).toEqual([
    ["frame_damaged", 0n],
    ["batch_damaged", 0n],
    ["frame_damaged", 2n],
    ["batch_damaged", 2n],
    ["segment_hash_differs", 0n],
  ]);
});

test("without its index, a segment is still checked against its own hash", async () => {
  const storage = openMemory();
  const entry = await writeSegment(storage, syntheticBatches(0n, 3));
  const keys = keysOf(entry);
  await storage.delete([keys.index]);
  const sound = await validate(storage, entry);
  expect(sound.findings).toMatchObject([{ code: "index_missing", key: keys.index }]);
  expect(sound.read.bytes).toBe(entry.stored_bytes);

  const body = await storage.get(keys.segment);
  body[0]! ^= 1;
  await storage.put(keys.segment, body);
  const damaged = await validate(storage, entry);
  expect(damaged.findings.map(({ code }) => code)).toEqual([
    "index_missing",
    "segment_hash_differs",
  ]);
});

test("a batch whose CRC was made to fit records that cannot be decoded is found", async () => {
  const batch = syntheticBatch(0n, [{ value: "abc" }]);
  batch[61]! = 0x7e; // The record's length.
  expect(await codesOf([withCrc(batch)])).toEqual([["records_damaged", 0n]]);
});

test("F7: a batch with a codec that nobody knows is found", async () => {
  const batch = syntheticBatch(0n, [{ value: "abc" }]);
  batch.writeInt16BE(7, 21);
  expect(await codesOf([withCrc(batch)])).toEqual([["records_damaged", 0n]]);
});

test("R9: a record later than its batch's maxTimestamp is found: a point in time would miss it", async () => {
  const records = [{ timestamp: 1000n }, { timestamp: 3000n }];
  const batch = syntheticBatch(5n, records, { maxTimestamp: 2000n });
  expect(await codesOf([batch])).toEqual([["records_damaged", 5n]]);
});

test("leader epochs and the smallest timestamp are compared with the run list", async () => {
  const batches = syntheticBatches(0n, 2);
  const epochs = (entry: SegmentEntry) => {
    entry.leader_epochs = [{ epoch: 1, start_offset: 0n }];
  };
  const startTimestamp = (entry: SegmentEntry) => {
    entry.start_timestamp = 5n;
  };
  expect(await codesOf(batches, epochs)).toEqual([["segment_contradicts", 0n]]);
  expect(await codesOf(batches, startTimestamp)).toEqual([["segment_contradicts", 0n]]);
});

test("a run list that counts other records than the index is found", async () => {
  const more = (entry: SegmentEntry) => {
    entry.record_count += 1;
  };
  expect(await codesOf(syntheticBatches(0n, 2), more)).toEqual([["index_damaged", 0n]]);
});

test("a segment whose name is no segment's is left to the plan to report", async () => {
  const storage = openMemory();
  const entry = await writeSegment(storage, syntheticBatches(0n, 1));
  const result = await validate(storage, { ...entry, key: "../../etc/passwd" });
  expect(result).toMatchObject({ status: "done", findings: [] });
});

test("out of time, it says so and has changed nothing; the same call again does it all", async () => {
  const storage = openMemory();
  const entry = await writeSegment(storage, syntheticBatches(0n, 3));
  const passed = { ...noDeadline, passed: () => true };
  expect(await validate(storage, entry, passed)).toMatchObject({ status: "continue" });
  expect(await validate(storage, entry)).toMatchObject({ status: "done", findings: [] });
});

test("cancelled, it throws the reason", async () => {
  const storage = openMemory();
  const entry = await writeSegment(storage, syntheticBatches(0n, 3));
  const aborted = deadlineAt(systemClock, Infinity, AbortSignal.abort(new Error("enough")));
  await expect(validate(storage, entry, aborted)).rejects.toThrow("enough");
});

test("at the shallow level no object is read", async () => {
  const storage = openMemory();
  const entry = await writeSegment(storage, syntheticBatches(0n, 3));
  const headsOnly: StorageBackend = {
    ...storage,
    url: storage.url,
    head: (key) => storage.head(key),
    get: () => Promise.reject(new Error("get")),
    getRange: () => Promise.reject(new Error("getRange")),
  };
  expect((await validate(headsOnly, entry, noDeadline, "shallow")).findings).toEqual([]);
  await storage.put(inBackup(backupId, entry.key), Buffer.alloc(3));
  const { findings } = await validate(headsOnly, entry, noDeadline, "shallow");
  expect(findings).toMatchObject([{ code: "segment_size_differs", topic: "orders", partition: 3 }]);
});
