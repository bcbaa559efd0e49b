import { expect, test } from "vitest";
import type { Manifest } from "#core/catalog/manifest.ts";
import { type ErrorName, isBackupError } from "#core/errors.ts";
import { toPrettyJson } from "#core/json.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import {
  backupId,
  lineageOf,
  manifestOf,
  runEntriesOf,
  runEntryOf,
} from "#test/support/catalog-documents.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";

const copyKey = inBackup(backupId, "manifest.json");

function failure(name: ErrorName, message: RegExp) {
  return expect.objectContaining({ name, message: expect.stringMatching(message) });
}

/** Commits generations 1 to `newest`. */
async function commitUpTo(storage: StorageBackend, newest: number): Promise<void> {
  const catalog = catalogOn(storage);
  let previous_sha256: string | null = null;
  for (let generation = 1; generation <= newest; generation++) {
    const stored = await catalog.commitManifest(manifestOf({ generation, previous_sha256 }));
    previous_sha256 = stored.sha256;
  }
}

async function newestGeneration(storage: StorageBackend): Promise<number | undefined> {
  return (await catalogOn(storage).latestManifest(backupId))?.manifest.generation;
}

test("C1: a commit whose copy was never written is the newest all the same", async () => {
  const storage = openMemory();
  await commitUpTo(storage, 2);
  const dying = withMethods(storage, {
    put: () => Promise.reject(new Error("killed")),
  });
  const third = manifestOf({ generation: 3 });
  await expect(catalogOn(dying).commitManifest(third)).rejects.toThrow("killed");
  expect(JSON.parse((await storage.get(copyKey)).toString()).generation).toBe(2);
  expect(await newestGeneration(storage)).toBe(3);

  await catalogOn(storage).commitManifest(manifestOf({ generation: 4 }));
  expect(await storage.get(copyKey)).toEqual(await storage.get(inBackup(backupId, manifestKey(4))));
});

test("the newest manifest is found without listing the history", async () => {
  const storage = openMemory();
  await commitUpTo(storage, 5);
  const unlisted = withMethods(storage, {
    list: () => {
      throw new Error("listed");
    },
  });
  expect(await newestGeneration(unlisted)).toBe(5);
});

test.each([
  ["missing", undefined],
  ["empty", ""],
  ["not JSON", "{"],
  ["of no generation", '{"generation": "3"}'],
  ["of a generation that no key can have", '{"generation": 100000000}'],
  ["of a generation that does not exist", '{"generation": 9}'],
  ["of an older generation", '{"generation": 1}'],
  ["of a later format", '{"format_version": 2, "generation": 3}'],
])("a copy that is %s does not hide the newest manifest", async (_, copy) => {
  const storage = openMemory();
  await commitUpTo(storage, 3);
  if (copy === undefined) await storage.delete([copyKey]);
  else await storage.put(copyKey, Buffer.from(copy));
  expect(await newestGeneration(storage)).toBe(3);
});

test("I1: what the copy says is never believed", async () => {
  const storage = openMemory();
  await commitUpTo(storage, 1);
  const copy = (await storage.get(copyKey)).toString();
  await storage.put(copyKey, Buffer.from(copy.replace("MkU3", "evil")));
  const stored = await catalogOn(storage).latestManifest(backupId);
  expect(stored?.manifest.cluster_id).toMatch(/^MkU3/);
});

test("I3: a later format version is refused by name before anything else is looked at", async () => {
  const storage = openMemory();
  const later = { format_version: 2, created_by: "kafka-backup 9.0.0", generation: "one" };
  await storage.put(inBackup(backupId, manifestKey(1)), Buffer.from(JSON.stringify(later)));
  await expect(catalogOn(storage).latestManifest(backupId)).rejects.toEqual(
    failure("UnsupportedFormatVersionError", /00000001\.json: format version 2.*9\.0\.0/),
  );
});

test("fields that this version does not know are ignored", async () => {
  const storage = openMemory();
  const body = toPrettyJson({ ...manifestOf(), later_field: { any: "thing" } });
  await storage.put(inBackup(backupId, manifestKey(1)), Buffer.from(body));
  expect((await catalogOn(storage).readManifest(backupId, 1)).manifest).toEqual(manifestOf());
});

const topic = {
  name: "orders",
  partition_count: 1,
  replication_factor: 1,
  config: {},
  partitions: [{ partition: 0, lineages: [lineageOf()] }],
};
const page = { key: "manifests/runs-00000001-00000256.json", sha256: "0".repeat(64), bytes: 1 };

const damages: [string, unknown, RegExp][] = [
  ["is not an object", [], /format_version/],
  ["has no format version", { ...manifestOf(), format_version: undefined }, /format_version/],
  ["is another backup's", manifestOf({ backup_id: "other" }), /backup_id: is "other"/],
  ["is another generation's", manifestOf({ generation: 2 }), /generation: is 2/],
  [
    "has a predecessor in generation 1",
    manifestOf({ previous_sha256: "0".repeat(64) }),
    /previous/,
  ],
  [
    "has a negative count",
    manifestOf({ runs: [{ ...runEntryOf(1), lease_token: -1 }] }),
    /runs\.0\.lease_token/,
  ],
  ["S2: has a path for a topic", manifestOf({ topics: [{ ...topic, name: "../x" }] }), /"\.\.\/x"/],
  ["has a topic twice", manifestOf({ topics: [topic, topic] }), /"orders" comes twice/],
  [
    "has a partition twice",
    manifestOf({ topics: [{ ...topic, partitions: [...topic.partitions, ...topic.partitions] }] }),
    /0 comes twice/,
  ],
  [
    "has lineages out of order",
    manifestOf({
      topics: [{ ...topic, partitions: [{ partition: 0, lineages: [lineageOf(), lineageOf()] }] }],
    }),
    /lineages must ascend/,
  ],
  [
    "has a lineage that ends before it begins",
    manifestOf({
      topics: [
        { ...topic, partitions: [{ partition: 0, lineages: [lineageOf({ start_offset: 11n })] }] },
      ],
    }),
    /next_offset lies before start_offset/,
  ],
  [
    "S2: has a run whose document lies elsewhere",
    manifestOf({
      runs: [{ ...runEntryOf(1), run: { ...runEntryOf(1).run, key: "../other/run.json" } }],
    }),
    /runs\.0\.run\.key/,
  ],
  [
    "S2: has a path for a run id",
    manifestOf({ runs: [{ ...runEntryOf(1), run_id: "../r" }] }),
    /runs\.0/,
  ],
  [
    "S2: has a page that lies elsewhere",
    manifestOf({ run_pages: [{ ...page, run_count: 256, key: "topics/x" }] }),
    /run_pages\.0\.key/,
  ],
  [
    "S2: has a page key that climbs",
    manifestOf({ run_pages: [{ ...page, run_count: 256, key: "manifests/runs-/../../x" }] }),
    /run_pages\.0\.key/,
  ],
];

test.each(damages)("a manifest that %s is corrupt, by key and field", async (_, value, problem) => {
  const storage = openMemory();
  await storage.put(inBackup(backupId, manifestKey(1)), Buffer.from(toPrettyJson(value)));
  const error = await catalogOn(storage)
    .readManifest(backupId, 1)
    .catch((thrown) => thrown);
  expect(error).toEqual(failure("CorruptManifestError", problem));
  expect(error.message).toContain("orders-backup/manifests/00000001.json");
});

test("a manifest with invalid UTF-8 is corrupt", async () => {
  const storage = openMemory();
  const body = Buffer.from(toPrettyJson(manifestOf()));
  body[body.indexOf("orders")] = 0xff;
  await storage.put(inBackup(backupId, manifestKey(1)), body);
  await expect(catalogOn(storage).readManifest(backupId, 1)).rejects.toEqual(
    failure("CorruptManifestError", /not a JSON document/),
  );
});

test("nothing is committed that could not be read back", async () => {
  const storage = openMemory();
  const unreadable = manifestOf({ topics: [topic, topic] });
  await expect(catalogOn(storage).commitManifest(unreadable)).rejects.toSatisfy((error) =>
    isBackupError(error, "CorruptManifestError"),
  );
  expect(await collect(storage.list(""))).toEqual([]);
});

test("C4: an attempt that wrote a page and died does not stand in the next one's way", async () => {
  const storage = openMemory();
  const runs = runEntriesOf(1, 511);
  const first = await catalogOn(storage).commitManifest(manifestOf({ runs }));
  const second = (finished_at: bigint): Manifest => ({
    ...first.manifest,
    generation: 2,
    previous_sha256: first.sha256,
    runs: [...runs, { ...runEntryOf(512), finished_at }],
  });
  const dying = withMethods(storage, {
    createIfAbsent: (key, body) =>
      key.endsWith(manifestKey(2))
        ? Promise.reject(new Error("killed"))
        : storage.createIfAbsent(key, body),
  });
  await expect(catalogOn(dying).commitManifest(second(1n))).rejects.toThrow("killed");
  const stored = await catalogOn(storage).commitManifest(second(2n));
  expect(stored.manifest.runs).toHaveLength(256);
  expect(await collect(catalogOn(storage).runsOf(stored.manifest))).toHaveLength(512);
});

test("I1: a page with other runs than its manifest referred to is found", async () => {
  const storage = openMemory();
  const catalog = catalogOn(storage);
  const { manifest } = await catalog.commitManifest(manifestOf({ runs: runEntriesOf(1, 512) }));
  const key = inBackup(backupId, manifest.run_pages[0]!.key);
  const body = (await storage.get(key)).toString();
  await storage.put(key, Buffer.from(body.replace("run-00007", "run-00008")));
  await expect(collect(catalog.runsOf(manifest))).rejects.toEqual(
    failure("CorruptManifestError", /runs-00000001-00000256\.json: SHA-256/),
  );
});
