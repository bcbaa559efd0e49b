/**
 * The lease under every order of events: each request of each contender takes effect, and is
 * answered, when a random schedule says so; a contender that the schedule passes over is a process
 * that stands still. Each has a clock of its own, which only its own waiting moves.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Lease } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { isBackupError } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";

const scope = { backupId: "orders", purpose: "backup" };
const never = new AbortController().signal;

/** What a contender was told, in the order in which all were told. */
type Told =
  | { kind: "held"; holding: string; token: number; askedAt: number }
  | { kind: "lost"; holding: string };

type Turn = (label: string) => Promise<void>;

/** Requests wait for a turn to take effect, and for another one to be answered. */
function delayed(storage: StorageBackend, who: string, turn: Turn): StorageBackend {
  const request = async <T>(name: string, effect: () => Promise<T>): Promise<T> => {
    await turn(`${who} ${name}`);
    const answer = await effect();
    await turn(`${who} ${name} answer`);
    return answer;
  };
  return {
    ...unused,
    url: storage.url,
    createIfAbsent: (key, body) =>
      request(`create ${key}`, () => storage.createIfAbsent(key, body)),
    get: (key) => request(`get ${key}`, () => storage.get(key)),
    delete: (keys) => request(`delete ${keys}`, () => storage.delete(keys)),
    async *list(prefix) {
      yield* await request(`list ${prefix}`, async () => {
        const listed = [];
        for await (const object of storage.list(prefix)) listed.push(object);
        return listed;
      });
    },
  };
}

const unexpected = () => {
  throw new Error("not a request of the lease");
};
const unused: Omit<StorageBackend, "url" | "createIfAbsent" | "get" | "delete" | "list"> = {
  createStream: unexpected,
  put: unexpected,
  getRange: unexpected,
  head: unexpected,
  listFolders: unexpected,
  close: unexpected,
};

/** Moves by what its owner sleeps, times `rate`: clocks of different machines need not agree. */
function ownClock(turn: Turn, who: string, rate: number): Clock {
  let elapsedMs = 0;
  return {
    nowMs: () => elapsedMs,
    monotonicMs: () => elapsedMs,
    async sleep(ms) {
      await turn(`${who} sleeps`);
      elapsedMs += rate * ms;
    },
  };
}

interface Contender {
  readonly clockRate: number;
  /** For each time that it takes the lease: how often it renews, and whether it lets go. */
  readonly holdings: readonly { readonly renewals: number; readonly releases: boolean }[];
}

const contender = fc.record<Contender>({
  clockRate: fc.constantFrom(1, 5, 20),
  holdings: fc.array(
    fc.record({ renewals: fc.integer({ min: 0, max: 6 }), releases: fc.boolean() }),
    { minLength: 1, maxLength: 3 },
  ),
});

async function contend(
  storage: StorageBackend,
  turn: Turn,
  who: string,
  { clockRate, holdings }: Contender,
  told: Told[],
): Promise<void> {
  const clock = ownClock(turn, who, clockRate);
  let ids = 0;
  const newId = () => `${who}${ids++}`;
  const catalog = openCatalog({ storage: delayed(storage, who, turn), clock, newId });
  for (const [i, { renewals, releases }] of holdings.entries()) {
    const holding = `${who}${i}`;
    const lease = await tell(holding, told, () => catalog.acquireLease(scope, 60_000, never));
    if (lease === undefined) continue;
    for (let n = 0; n < renewals; n++) {
      const renewed = await tell(holding, told, () => lease.renew().then(() => lease));
      if (renewed === undefined) break;
    }
    if (releases) await lease.release();
  }
}

async function tell(
  holding: string,
  told: Told[],
  ask: () => Promise<Lease>,
): Promise<Lease | undefined> {
  const askedAt = told.length;
  try {
    const lease = await ask();
    told.push({ kind: "held", holding, token: lease.token, askedAt });
    return lease;
  } catch (error) {
    if (!isBackupError(error, "BackupConflictError")) throw error;
    told.push({ kind: "lost", holding });
    return undefined;
  }
}

function heldOf(told: readonly Told[]) {
  return told.flatMap((one, at) => (one.kind === "held" ? [{ ...one, at }] : []));
}

test("C5, C7: whatever is paused or late, tokens of two holders never interleave", async () => {
  let takenOver = 0;
  let lost = 0;
  const property = fc.asyncProperty(
    fc.scheduler(),
    fc.array(contender, { minLength: 3, maxLength: 3 }),
    async (scheduler, contenders) => {
      const storage = openMemory();
      const told: Told[] = [];
      const turn: Turn = (label) => scheduler.schedule(Promise.resolve(), label);
      const all = contenders.map((one, i) => contend(storage, turn, "abc"[i]!, one, told));
      await scheduler.waitFor(Promise.all(all));

      const held = heldOf(told);
      expect(new Set(held.map(({ token }) => token)).size).toBe(held.length);
      const byToken = [...held].sort((a, b) => a.token - b.token);
      const holders = byToken.map(({ holding }) => holding);
      const turns = holders.filter((holding, i) => holding !== holders[i - 1]);
      expect(turns).toEqual([...new Set(turns)]);
      for (const later of held) {
        const overtaken = held.filter((one) => one.at < later.askedAt && one.token > later.token);
        expect(overtaken).toEqual([]);
      }
      takenOver += Math.max(0, turns.length - 1);
      lost += told.length - held.length;
    },
  );
  await fc.assert(property, { numRuns: 1_000 });
  // The schedules must have reached what they are for.
  expect(takenOver).toBeGreaterThan(500);
  expect(lost).toBeGreaterThan(500);
}, 120_000);

test("some contender always gets on: a lease that nobody holds is taken within its wait", async () => {
  const property = fc.asyncProperty(fc.scheduler(), async (scheduler) => {
    const storage = openMemory();
    const told: Told[] = [];
    const turn: Turn = (label) => scheduler.schedule(Promise.resolve(), label);
    const once = { clockRate: 1, holdings: [{ renewals: 0, releases: false }] };
    const all = ["a", "b", "c"].map((who) => contend(storage, turn, who, once, told));
    await scheduler.waitFor(Promise.all(all));
    expect(heldOf(told).length).toBeGreaterThanOrEqual(1);
  });
  await fc.assert(property, { numRuns: 200 });
}, 60_000);

/** Two looks at the lease are enough for it to believe that a lease is still. */
const fastClock = 20;
const attemptsMax = 5;

/** Processes of one run: one takes the lease, the others go on holding it beside it. */
async function holdTogether(
  storage: StorageBackend,
  turn: Turn,
  owner: string,
  renewals: readonly number[],
  told: Told[],
): Promise<void> {
  const catalogOf = (who: string) =>
    openCatalog({
      storage: delayed(storage, who, turn),
      clock: ownClock(turn, who, fastClock),
      newId: () => owner,
    });
  const ask = (work: () => Promise<Lease>) => tell(owner, told, work);
  let first: Lease | undefined;
  for (let attempt = 0; attempt < attemptsMax && first === undefined; attempt++) {
    first = await ask(() => catalogOf(owner).acquireLease(scope, 60_000, never));
  }
  if (first === undefined) return;
  const { holder } = first;
  const processes = renewals.map(async (count, i) => {
    const catalog = catalogOf(`${owner}-${i}`);
    const lease = await ask(() => catalog.continueLease(scope, holder));
    for (let n = 0; n < count && lease !== undefined; n++) {
      if ((await ask(() => lease.renew().then(() => lease))) === undefined) return;
    }
  });
  await Promise.all(processes);
}

const renewalsOfProcesses = fc.array(fc.integer({ min: 0, max: 5 }), {
  minLength: 2,
  maxLength: 3,
});

test("C5: tokens of two owners never interleave, however many processes each has", async () => {
  let takenOver = 0;
  const property = fc.asyncProperty(
    fc.scheduler(),
    fc.array(renewalsOfProcesses, { minLength: 2, maxLength: 2 }),
    async (scheduler, owners) => {
      const storage = openMemory();
      const told: Told[] = [];
      const turn: Turn = (label) => scheduler.schedule(Promise.resolve(), label);
      const all = owners.map((renewals, i) =>
        holdTogether(storage, turn, "ab"[i]!, renewals, told),
      );
      await scheduler.waitFor(Promise.all(all));

      const byToken = heldOf(told).sort((a, b) => a.token - b.token);
      const turns = byToken
        .map(({ holding }) => holding)
        .filter((holding, i, holdings) => holding !== holdings[i - 1]);
      expect(turns).toEqual([...new Set(turns)]);
      takenOver += turns.length - 1;
    },
  );
  await fc.assert(property, { numRuns: 500 });
  expect(takenOver).toBeGreaterThan(100);
}, 60_000);

test("processes of one owner never take the lease from each other", async () => {
  const property = fc.asyncProperty(
    fc.scheduler(),
    renewalsOfProcesses,
    async (scheduler, renewals) => {
      const told: Told[] = [];
      const turn: Turn = (label) => scheduler.schedule(Promise.resolve(), label);
      await scheduler.waitFor(holdTogether(openMemory(), turn, "a", renewals, told));
      expect(told.filter(({ kind }) => kind === "lost")).toEqual([]);
    },
  );
  await fc.assert(property, { numRuns: 500 });
}, 60_000);
