/**
 * Backups whose documents somebody has rewritten, hashes and all, read by everything that reads a
 * backup: the outcome is a result or a refusal by name, and nothing outside the backup is touched.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import { describeBackup } from "#core/describe/describe.ts";
import { listBackups } from "#core/describe/list.ts";
import { describeRestores } from "#core/describe/restores.ts";
import { isBackupError } from "#core/errors.ts";
import { inspect } from "#core/inspect/inspect.ts";
import { pruneOrphans } from "#core/prune/prune.ts";
import { estimateTopic } from "#core/restore/estimate.ts";
import { planRestore } from "#core/restore/plan.ts";
import { deadlineAt } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { goldenObjects } from "#test/support/golden-backup.ts";
import {
  byteChanges,
  changedBytes,
  changedJson,
  hostileValue,
  jsonChanges,
} from "#test/support/hostile.ts";
import { reseal, type StoredObjects } from "#test/support/resealed.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import {
  syntheticBackupId as backup_id,
  syntheticBackup,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const deadline = deadlineAt(systemClock, Infinity);
/** Beside the backup: nobody who reads that one has any business here. */
const neighbour = "another-backup/manifest.json";

let sound: StoredObjects;
let documents: string[];

beforeAll(async () => {
  const storage = openMemory();
  const backup = syntheticBackup(storage);
  const lz4 = { codec: "lz4" } as const;
  await backup.addRun({
    partitions: [
      { segments: [syntheticBatches(0n, 2), syntheticBatches(6n, 2, 3, lz4)] },
      { topic: "payments", partition: 1, segments: [syntheticBatches(5n, 1)] },
    ],
  });
  const gaps = [{ from_offset: 12n, to_offset: 20n }];
  await backup.addRun({
    codec: "lz4",
    partitions: [{ startOffset: 12n, gaps, segments: [syntheticBatches(20n, 2)] }],
  });
  sound = new Map();
  for (const { key } of await collect(storage.list(""))) sound.set(key, await storage.get(key));
  documents = [...sound.keys()].filter((key) => /\.(json|index)$/.test(key));
});

interface Touched {
  readonly read: Set<string>;
  readonly written: Set<string>;
}

/** The objects as a storage that notes what is asked of it. */
async function recorded(objects: StoredObjects, touched: Touched): Promise<StorageBackend> {
  const storage = openMemory();
  for (const [key, body] of objects) await storage.put(key, body);
  await storage.put(neighbour, Buffer.from("{}"));
  const noting =
    <Rest extends unknown[], Result>(
      set: Set<string>,
      method: (key: string, ...rest: Rest) => Result,
    ) =>
    (key: string, ...rest: Rest): Result => {
      set.add(key);
      return method.call(storage, key, ...rest);
    };
  return withMethods(storage, {
    get: noting(touched.read, storage.get),
    getRange: noting(touched.read, storage.getRange),
    head: noting(touched.read, storage.head),
    put: noting(touched.written, storage.put),
    createIfAbsent: noting(touched.written, storage.createIfAbsent),
    createStream: noting(touched.written, storage.createStream),
    delete: (keys) => {
      for (const key of keys) touched.written.add(key);
      return storage.delete(keys);
    },
  });
}

/** Every way to read a backup, by name. */
const readers: Readonly<
  Record<string, (storage: StorageBackend, catalog: Catalog) => Promise<unknown>>
> = {
  list: (_, catalog) => collect(listBackups({ catalog, clock: systemClock }, deadline)),
  describe: (_, catalog) => describeBackup({ catalog }, { backup_id, runs_max: 10 }, deadline),
  restores: (storage, catalog) => describeRestores({ storage, catalog }, backup_id, 10, deadline),
  "validate shallow": (storage, catalog) =>
    runValidation({ storage, catalog }, { backup_id, level: "shallow" }, deadline),
  "validate deep": (storage, catalog) =>
    runValidation({ storage, catalog }, { backup_id, level: "deep" }, deadline),
  inspect: (storage, catalog) =>
    inspect(
      { storage, catalog },
      { backup_id, topic: "orders", partition: 0, records_max: 50, form: "auto", bytes_max: 100 },
      deadline,
    ),
  "restore --dry-run": async (_, catalog) => {
    const plan = await planRestore({ catalog }, requestOf({ backup_id }));
    for (const topic of plan.topics) {
      await estimateTopic(catalog, plan.stored.manifest, topic, plan.window);
    }
  },
  "prune --execute": (storage, catalog) =>
    pruneOrphans(
      { storage, catalog, clock: systemClock },
      { backup_id, execute: true, grace_ms: 0 },
      deadline,
    ),
};

/** Reads the backup by every reader; throws what is neither a result nor a refusal by name. */
async function readAll(objects: StoredObjects): Promise<void> {
  for (const [name, read] of Object.entries(readers)) {
    const touched = { read: new Set<string>(), written: new Set<string>() };
    const storage = await recorded(objects, touched);
    try {
      await read(storage, catalogOn(storage));
    } catch (error) {
      if (!isBackupError(error)) throw new Error(`${name} has a defect`, { cause: error });
    }
    const own = (key: string) => key.startsWith(`${backup_id}/`) && !key.includes("..");
    // A list of all backups looks at all of them.
    const strangers = [...touched.read].filter((key) => !own(key) && name !== "list");
    expect(
      [...touched.written, ...strangers].filter((key) => !own(key)),
      name,
    ).toEqual([]);
    expect(await storage.head(neighbour), name).toBeDefined();
  }
}

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("the rewritten backup is as good as the sound one while nothing is changed in it", async () => {
  const objects = new Map(sound);
  reseal(objects, backup_id);
  const storage = await recorded(objects, { read: new Set(), written: new Set() });
  const catalog = catalogOn(storage);
  const report = await runValidation({ storage, catalog }, { backup_id, level: "deep" }, deadline);
  expect(report.status).toBe("sound");
});

describe("S2, I1: of a backup that was rewritten", () => {
  test("S2, I1: documents with hostile values do not lead outside, and are read or refused", async () => {
    await fc.assert(
      fc.asyncProperty(share, jsonChanges, async (at, changes) => {
        const objects = new Map(sound);
        const key = documents[Math.floor(at * documents.length)]!;
        const changed = changedJson(JSON.parse(objects.get(key)!.toString()), changes);
        objects.set(key, Buffer.from(JSON.stringify(changed) ?? ""));
        reseal(objects, backup_id);
        await readAll(objects);
      }),
      { numRuns: 100 },
    );
  });

  test("S2, I1: segments and indexes with other bytes are read or refused", async () => {
    const data = [...sound.keys()].filter((key) => key.includes("/topics/"));
    await fc.assert(
      fc.asyncProperty(share, byteChanges, async (at, changes) => {
        const objects = new Map(sound);
        const key = data[Math.floor(at * data.length)]!;
        objects.set(key, changedBytes(objects.get(key)!, changes));
        reseal(objects, backup_id);
        await readAll(objects);
      }),
      { numRuns: 100 },
    );
  });

  test("S2: no field of the manifest that holds a name or a number leads outside", async () => {
    const key = `${backup_id}/manifests/00000002.json`;
    const paths = leavesOf(JSON.parse(sound.get(key)!.toString()));
    for (const value of [
      "../../another-backup/manifest.json",
      "/etc/passwd",
      "a\u0000b",
      2 ** 53 - 1,
    ]) {
      for (const path of paths) {
        const document = JSON.parse(sound.get(key)!.toString());
        set(document, path, value);
        const objects = new Map(sound).set(key, Buffer.from(JSON.stringify(document)));
        reseal(objects, backup_id);
        await readAll(objects);
      }
    }
  });
});

describe("S2, I1: a restore's own documents", () => {
  test("S2, I1: with hostile values are read or refused by name", async () => {
    const golden = await goldenObjects();
    const keys = [...golden.keys()].filter((key) => /^golden\/restores\/.*\.json$/.test(key));
    await fc.assert(
      fc.asyncProperty(share, share, hostileValue, async (at, place, value) => {
        const key = keys[Math.floor(at * keys.length)]!;
        const document = JSON.parse(golden.get(key)!.toString());
        const changed = changedJson(document, [{ at: place, kind: "replace", value }]);
        const storage = openMemory();
        for (const each of keys) await storage.put(each, golden.get(each)!);
        await storage.put(key, Buffer.from(JSON.stringify(changed) ?? ""));
        try {
          const deps = { storage, catalog: catalogOn(storage) };
          await describeRestores(deps, "golden", 10, deadline);
        } catch (error) {
          if (!isBackupError(error)) throw error;
        }
      }),
      { numRuns: 100 },
    );
  });
});

type Path = readonly string[];

function leavesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, key]));
}

function set(document: Record<string, unknown>, path: Path, value: unknown): void {
  const last = path.at(-1)!;
  const holder = path.slice(0, -1).reduce((inner, key) => inner[key] as typeof document, document);
  holder[last] = value;
}
