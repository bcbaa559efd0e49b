import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { openObjectCatalog } from "#core/catalog/objects.ts";
import { deadlineAt } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import type { ValidationReport } from "#core/validate/finish.ts";
import { runValidation } from "#core/validate/run.ts";
import { collect } from "#test/support/collect.ts";
import {
  syntheticBackup,
  syntheticBackupId,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

type Objects = ReadonlyMap<string, Buffer>;

let sound: Objects;

beforeAll(async () => {
  const backup = syntheticBackup();
  const lz4 = { codec: "lz4" } as const;
  await backup.addRun({
    partitions: [
      { partition: 0, segments: [syntheticBatches(0n, 3), syntheticBatches(9n, 3)] },
      { partition: 1, segments: [syntheticBatches(100n, 2, 5, lz4)] },
    ],
  });
  await backup.addRun({
    codec: "lz4",
    partitions: [
      { partition: 0, segments: [syntheticBatches(18n, 4)] },
      { topic: "payments", partition: 0, segments: [syntheticBatches(0n, 3)] },
    ],
  });
  await backup.addRun({
    codec: "none",
    partitions: [{ partition: 0, lineage: 2, segments: [syntheticBatches(0n, 3)] }],
  });
  sound = await objectsOf(backup.storage);
});

async function objectsOf(storage: StorageBackend): Promise<Objects> {
  const keys = (await collect(storage.list(""))).map(({ key }) => key);
  return new Map(
    await Promise.all(keys.map(async (key) => [key, await storage.get(key)] as const)),
  );
}

async function validate(objects: Objects, level: ValidationLevel): Promise<ValidationReport> {
  const storage = openMemory();
  for (const [key, body] of objects) await storage.put(key, body);
  const newId = () => "0123456789abcdef";
  const catalog = openObjectCatalog({ storage, clock: systemClock, newId });
  const request = { backup_id: syntheticBackupId, level };
  return runValidation({ storage, catalog }, request, deadlineAt(systemClock, Infinity));
}

function withObject(key: string, body: Buffer): Objects {
  return new Map(sound).set(key, body);
}

function without(key: string): Objects {
  const objects = new Map(sound);
  objects.delete(key);
  return objects;
}

const copyKey = `${syntheticBackupId}/manifest.json`;
const newestKey = `${syntheticBackupId}/manifests/00000003.json`;

/** Only the bytes of segments and indexes are left to the deep level. */
function isData(key: string): boolean {
  return key.startsWith(`${syntheticBackupId}/topics/`);
}

function codes(report: ValidationReport): string[] {
  return report.findings.map(({ code }) => code);
}

test("I1: an undamaged backup is sound at both levels, without any finding", async () => {
  for (const level of ["shallow", "deep"] as const) {
    const report = await validate(sound, level);
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ status: "sound", orphans: { objects: 0 } });
  }
});

test("the deep level reads every segment, batch and record, the shallow one none", async () => {
  const stored = [...sound].filter(([key]) => isData(key) && !key.endsWith(".index"));
  const bytes = stored.reduce((sum, [, body]) => sum + body.length, 0);
  const shallow = await validate(sound, "shallow");
  const deep = await validate(sound, "deep");
  expect(shallow.checked).toMatchObject({ segments: 6, bytes: 0, batches: 0, records: 0 });
  expect(deep.checked).toMatchObject({ manifests: 3, runs: 3, bytes, batches: 18, records: 58 });
});

describe("I1: every object of a backup", () => {
  const anyKey = () => fc.constantFrom(...sound.keys());
  const anyShare = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  test("a flipped bit anywhere is damage: of documents when shallow, of data when deep", async () => {
    await fc.assert(
      fc.asyncProperty(anyKey(), anyShare, fc.integer({ min: 0, max: 7 }), async (key, at, bit) => {
        const body = Buffer.from(sound.get(key)!);
        const position = Math.floor(at * body.length);
        body[position]! ^= 1 << bit;
        const report = await validate(withObject(key, body), isData(key) ? "deep" : "shallow");
        expect(report.status, `bit ${bit} of byte ${position} of ${key}`).toBe("damaged");
        expect(report.findings.every(({ message, remedy }) => message && remedy)).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  test("a truncation at any byte is found at the shallow level", async () => {
    await fc.assert(
      fc.asyncProperty(anyKey(), anyShare, async (key, at) => {
        const body = sound.get(key)!;
        const cut = body.subarray(0, Math.floor(at * body.length));
        for (const level of ["shallow", "deep"] as const) {
          const report = await validate(withObject(key, cut), level);
          expect(report.status, `${key} cut to ${cut.length} bytes, ${level}`).toBe("damaged");
        }
      }),
      { numRuns: 100 },
    );
  });

  test("bytes appended to it are found at the shallow level", async () => {
    for (const [key, body] of sound) {
      for (const level of ["shallow", "deep"] as const) {
        const report = await validate(withObject(key, Buffer.concat([body, body])), level);
        expect(report.status, `${key}, ${level}`).toBe("damaged");
      }
    }
  });

  test("its deletion is found at the shallow level", async () => {
    for (const key of sound.keys()) {
      for (const level of ["shallow", "deep"] as const) {
        const report = await validate(without(key), level);
        if (key === copyKey) expect(codes(report)).toEqual(["manifest_copy_missing"]);
        else expect(report.status, `${key}, ${level}`).toBe("damaged");
        expect(
          report.findings.some((found) => found.key === key),
          key,
        ).toBe(true);
      }
    }
  });

  test("another object in its place is found: of data when deep, of documents when shallow", async () => {
    await fc.assert(
      fc.asyncProperty(anyKey(), anyKey(), async (a, b) => {
        fc.pre(!sound.get(a)!.equals(sound.get(b)!));
        const swapped = new Map(sound).set(a, sound.get(b)!).set(b, sound.get(a)!);
        const report = await validate(swapped, isData(a) && isData(b) ? "deep" : "shallow");
        expect(report.status, `${a} and ${b}`).toBe("damaged");
      }),
      { numRuns: 150 },
    );
  });

  test("an object that is added beside it is reported, and is no damage", async () => {
    for (const [key, body] of sound) {
      const added = `${key.slice(0, key.lastIndexOf("/"))}/added.bin`;
      const report = await validate(withObject(added, body), "shallow");
      expect(report.findings, added).toMatchObject([
        { severity: "info", code: "object_orphaned", key: added },
      ]);
      expect(report).toMatchObject({ status: "sound", orphans: { objects: 1 } });
    }
  });
});

test("I1: data that was damaged in place has a finding that names offset, object and partition", async () => {
  const [key, original] = [...sound].find(([key]) => key.endsWith(".log"))!;
  const body = Buffer.from(original);
  body[body.length - 1]! ^= 1;
  const report = await validate(withObject(key, body), "deep");
  expect(codes(report)).toEqual(["frame_damaged", "batch_damaged", "segment_hash_differs"]);
  expect(report.findings[1]).toMatchObject({ key, topic: "orders", partition: 0, offset: 6n });
  expect(codes(await validate(withObject(key, body), "shallow"))).toEqual([]);
});

test("I1: an older generation in the place of the newest is damage", async () => {
  const older = sound.get(`${syntheticBackupId}/manifests/00000002.json`)!;
  const report = await validate(withObject(newestKey, older), "shallow");
  expect(codes(report)).toContain("manifest_damaged");
});

test("I1: a well-formed edit of the newest manifest is damage, because its copy differs", async () => {
  const edited = sound.get(newestKey)!.toString().replace('"next_offset": 30', '"next_offset": 31');
  const report = await validate(withObject(newestKey, Buffer.from(edited)), "shallow");
  expect(codes(report)).toContain("manifest_copy_differs");
  expect(report.status).toBe("damaged");
});

test("I1: a well-formed edit of an older manifest breaks the chain", async () => {
  const key = `${syntheticBackupId}/manifests/00000001.json`;
  const edited = sound.get(key)!.toString().replace('"record_count": 10', '"record_count": 11');
  const report = await validate(withObject(key, Buffer.from(edited)), "shallow");
  expect(report.findings).toMatchObject([
    { severity: "error", code: "manifest_chain_broken", key },
    { severity: "warning", code: "orphans_unknown" },
  ]);
});

test("a copy that a crash left one generation behind is a warning, and the backup is sound", async () => {
  const older = sound.get(`${syntheticBackupId}/manifests/00000002.json`)!;
  const report = await validate(withObject(copyKey, older), "shallow");
  expect(report).toMatchObject({ status: "sound", counts: { error: 0, warning: 1, info: 0 } });
  expect(codes(report)).toEqual(["manifest_copy_stale"]);
});

test("orphans are not guessed at while a document is damaged", async () => {
  const list = [...sound.keys()].find((key) => key.includes("/runs/") && key.includes("/topics/"))!;
  const report = await validate(without(list), "shallow");
  expect(codes(report)).toEqual(["document_missing", "orphans_unknown"]);
});
