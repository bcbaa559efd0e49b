import { expect, test } from "vitest";
import { verifyManifestChain } from "#core/catalog/manifest-chain.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { backupId, manifestOf } from "#test/support/catalog-documents.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";

const keyOf = (generation: number) => inBackup(backupId, manifestKey(generation));
const copyKey = inBackup(backupId, "manifest.json");

async function committed(generations: number): Promise<StorageBackend> {
  const storage = openMemory();
  let previous_sha256: string | null = null;
  for (let generation = 1; generation <= generations; generation++) {
    const manifest = manifestOf({ generation, previous_sha256 });
    previous_sha256 = (await catalogOn(storage).commitManifest(manifest)).sha256;
  }
  return storage;
}

async function findings(storage: StorageBackend): Promise<string[]> {
  const found = await collect(verifyManifestChain(storage, backupId));
  return found.map(({ severity, kind, key }) => `${severity} ${kind} ${key}`);
}

async function edit(storage: StorageBackend, key: string, from: string, to: string) {
  const body = (await storage.get(key)).toString();
  expect(body).toContain(from);
  await storage.put(key, Buffer.from(body.replace(from, to)));
}

test("I2: manifests as committed make a whole chain", async () => {
  expect(await findings(await committed(5))).toEqual([]);
  expect(await findings(openMemory())).toEqual([]);
});

test("I2: an edited manifest is found, unless it is the newest, which has only its copy", async () => {
  const storage = await committed(5);
  await edit(storage, keyOf(3), "kafka-backup 0.1.0", "kafka-backup 0.1.1");
  expect(await findings(storage)).toEqual([`error chain_broken ${keyOf(3)}`]);
  await edit(storage, keyOf(5), "kafka-backup 0.1.0", "kafka-backup 0.1.1");
  expect(await findings(storage)).toEqual([
    `warning copy_stale ${copyKey}`,
    `error chain_broken ${keyOf(3)}`,
  ]);
});

test("I1: a missing manifest is found, also the first one", async () => {
  const storage = await committed(5);
  await storage.delete([keyOf(1), keyOf(4)]);
  expect(await findings(storage)).toEqual([
    `error manifest_missing ${keyOf(4)}`,
    `error manifest_missing ${keyOf(1)}`,
  ]);
});

test("I1: a hole of any length is one finding", async () => {
  const storage = await committed(2);
  await storage.put(keyOf(99_999_999), await storage.get(keyOf(2)));
  const found = await collect(verifyManifestChain(storage, backupId));
  expect(found.map(({ problem }) => problem)).toContain(
    "generations 3 to 99999998 are missing, all 99999996",
  );
});

test("I1: a manifest under another one's key is found", async () => {
  const storage = await committed(3);
  await storage.put(keyOf(2), await storage.get(keyOf(3)));
  expect(await findings(storage)).toEqual([`error manifest_unreadable ${keyOf(2)}`]);
});

test("I3: a manifest of a later format is a finding, not the end of the walk", async () => {
  const storage = await committed(3);
  await edit(storage, keyOf(2), '"format_version": 1', '"format_version": 2');
  await edit(storage, keyOf(1), '"generation": 1', '"generation": "');
  expect(await findings(storage)).toEqual([
    `error manifest_unreadable ${keyOf(2)}`,
    `error manifest_unreadable ${keyOf(1)}`,
  ]);
});

test("a copy that is missing or stale is a warning", async () => {
  const storage = await committed(2);
  await storage.put(copyKey, await storage.get(keyOf(1)));
  expect(await findings(storage)).toEqual([`warning copy_stale ${copyKey}`]);
  await storage.delete([copyKey]);
  expect(await findings(storage)).toEqual([`warning copy_stale ${copyKey}`]);
});
