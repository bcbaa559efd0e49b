import { expect, test } from "vitest";
import { openCatalog } from "#core/catalog/open.ts";
import { BackupError } from "#core/errors.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const scope = { backupId: "orders", purpose: "backup" };
const never = new AbortController().signal;

function acquire(storage: StorageBackend, clock = new FakeClock()) {
  return clock.runUntil(catalogOn(storage, clock).acquireLease(scope, 35_000, never));
}

async function keys(storage: StorageBackend): Promise<string[]> {
  return (await collect(storage.list(""))).map(({ key }) => key);
}

/** Loses the answer of the creations whose number `isLost` picks; the objects are there. */
function losingAnswers(storage: StorageBackend, isLost: (number: number) => boolean) {
  let creations = 0;
  return withMethods(storage, {
    createIfAbsent: async (key, body) => {
      const outcome = await storage.createIfAbsent(key, body);
      if (outcome === "created" && isLost(++creations))
        throw new BackupError("StorageUnavailableError", "answer lost");
      return outcome;
    },
  });
}

test("however often it moves, only the two newest objects are kept", async () => {
  const storage = openMemory();
  for (let run = 0; run < 3; run++) {
    const lease = await acquire(storage);
    for (let i = 0; i < 5; i++) await lease.renew();
    await lease.release();
  }
  const next = await acquire(storage);
  expect(next.token).toBe(22);
  expect(await keys(storage)).toEqual([
    "orders/state/lease/backup/00000000000000000021.json",
    "orders/state/lease/backup/00000000000000000022.json",
  ]);
});

test("a renewal holds the lease though what it has moved on from cannot be removed now", async () => {
  const memory = openMemory();
  let isAway = false;
  const storage = withMethods(memory, {
    delete: async (keys) => {
      if (isAway) throw new BackupError("ThrottledError", "SlowDown");
      await memory.delete(keys);
    },
  });
  const lease = await acquire(storage);
  await lease.renew();
  isAway = true;
  await lease.renew();
  await lease.renew();
  expect(await keys(memory)).toHaveLength(4);
  isAway = false;
  await lease.renew();
  expect(await keys(memory)).toHaveLength(2);
});

test("C4: a renewal whose answer was lost does not cost the lease", async () => {
  const storage = openMemory();
  const lease = await acquire(losingAnswers(storage, (number) => number % 2 === 0));
  for (let i = 0; i < 3; i++) {
    await expect(lease.renew()).rejects.toMatchObject({ name: "StorageUnavailableError" });
    await lease.renew();
  }
  await expect(lease.release()).rejects.toMatchObject({ name: "StorageUnavailableError" });
  await lease.release();
  const clock = new FakeClock();
  await acquire(storage, clock);
  expect(clock.monotonicMs()).toBe(0);
});

test("C4: a creation that was repeated after a lost answer knows its own object", async () => {
  const storage = openMemory();
  const clock = new FakeClock();
  const repeating = withMethods(storage, {
    createIfAbsent: async (key, body) => {
      const outcome = await storage.createIfAbsent(key, body);
      return key.endsWith("01.json") ? storage.createIfAbsent(key, body) : outcome;
    },
  });
  const lease = await acquire(repeating, clock);
  expect(lease.token).toBe(2);
  expect(clock.monotonicMs()).toBe(0);
  await lease.renew();
});

test("a lease that cannot be understood is taken over when it is still", async () => {
  const storage = openMemory();
  await storage.put("orders/state/lease/backup/00000000000000000041.json", Buffer.from("?"));
  const clock = new FakeClock();
  const lease = await acquire(storage, clock);
  expect(lease.token).toBe(42);
  expect(clock.monotonicMs()).toBeGreaterThanOrEqual(30_000);
});

test("objects that are no moves of the lease are not taken for any", async () => {
  const storage = openMemory();
  await storage.put("orders/state/lease/backup/notes.txt", Buffer.from("?"));
  await storage.put("orders/state/lease/backup/deeper/00000000000000000009.json", Buffer.from("?"));
  expect((await acquire(storage)).token).toBe(1);
});

test("C5: a low token that a paused process creates late is not the lease, and is removed", async () => {
  const storage = openMemory();
  const holder = await acquire(storage);
  for (let i = 0; i < 5; i++) await holder.renew();
  const stale = withMethods(storage, {
    // What the process saw before it was paused: the first token, released.
    list: (prefix) => (stale.listed++ === 0 ? listedOnce() : storage.list(prefix)),
    get: async (key) =>
      key.endsWith("01.json")
        ? Buffer.from('{"owner":"x","purpose":"backup","acquired_at":0,"released":true}')
        : storage.get(key),
  }) as StorageBackend & { listed: number };
  stale.listed = 0;
  async function* listedOnce() {
    const key = "orders/state/lease/backup/00000000000000000001.json";
    yield { key, size: 1, lastModifiedMs: 0 };
  }
  await expect(acquire(stale)).rejects.toMatchObject({ name: "BackupConflictError" });
  expect(await keys(storage)).toHaveLength(2);
  await holder.renew();
});

test("who waits for a lease is told once what for", async () => {
  const storage = openMemory();
  await acquire(storage);
  const told: string[] = [];
  const logger = { ...silentLogger, info: (message: string) => told.push(message) };
  const clock = new FakeClock();
  const catalog = openCatalog({ storage, clock, newId: () => "b", logger });
  await clock.runUntil(catalog.acquireLease(scope, 35_000, never));
  expect(told).toEqual([
    expect.stringMatching(/^another run holds the lease "backup" of backup "orders" since .+ 30 s/),
  ]);
});
