/** In which order moments are known, and how few snapshots are read to know it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { CataloguedSnapshot } from "#core/catalog/catalog.ts";
import { knownMoments, type MomentsRequest } from "#core/offsets/known-positions.ts";
import { readSnapshot, snapshotFacts } from "#core/offsets/snapshot.ts";
import { newSnapshotId } from "#core/storage/snapshot-ids.ts";
import { backupId } from "#test/support/catalog-documents.ts";
import { withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import {
  hourMs,
  type KnownBackup,
  knownBackup,
  storeSnapshot,
  timeOfRun,
} from "#test/support/known-groups.ts";

const standing = { billing: { "orders-0": 10n } };

interface Taken {
  readonly at: bigint;
  readonly safety?: boolean;
  readonly cluster_id?: string;
  /** Instead of one that says the time. */
  readonly id?: string;
}

/** Stores a snapshot, and returns its id. */
async function take(backup: KnownBackup, { at, id, ...fields }: Taken): Promise<string> {
  const token = String(taken++).padStart(8, "0");
  const snapshotId = id ?? newSnapshotId(Number(at), token);
  const created_at = new Date(Number(at)).toISOString();
  await storeSnapshot(backup, snapshotId, standing, { created_at, ...fields });
  return snapshotId;
}
let taken = 0;

interface Asked extends MomentsRequest {
  /** How many moments are asked for; all unless said. */
  readonly count?: number;
  /** Snapshots that the table knows. */
  readonly known?: ReadonlySet<string>;
}

/** What is found, newest first, and which snapshots were read for it. */
async function ask(backup: KnownBackup, { count = Infinity, known, ...request }: Asked = {}) {
  const read: string[] = [];
  const storage = withMethods(backup.storage, {
    get: (key) => {
      if (key.startsWith("snapshots/")) read.push(key.slice("snapshots/".length, -".json".length));
      return backup.storage.get(key);
    },
  });
  async function* snapshots(): AsyncGenerator<CataloguedSnapshot> {
    for await (const { snapshot_id } of backup.catalog.snapshots()) {
      const isKnown = known?.has(snapshot_id);
      const facts = isKnown
        ? snapshotFacts(await readSnapshot(backup.storage, snapshot_id))
        : undefined;
      yield { snapshot_id, summary: facts && { ...facts, bytes: 0 } };
    }
  }
  const catalog = { ...backup.catalog, snapshots };
  const { manifest } = (await backup.catalog.latestManifest(backupId))!;
  const found: string[] = [];
  for await (const moment of knownMoments({ storage, catalog }, manifest, request)) {
    found.push(moment.from.replace(/^snapshot /, ""));
    if (found.length >= count) break;
  }
  return { found, read };
}

test("snapshots older than the newest run are not read to find it", async () => {
  const backup = await knownBackup([{ groups: standing }, { groups: standing }]);
  for (let hour = 1n; hour < 50n; hour++) {
    await take(backup, { at: timeOfRun(1) - hour * hourMs });
  }
  expect(await ask(backup, { count: 1 })).toEqual({ found: ["run run-1"], read: [] });
});

test("snapshots after the end of the window are not read", async () => {
  const backup = await knownBackup([{ groups: standing }]);
  const until = timeOfRun(0) + hourMs + 500n;
  const inTime = await take(backup, { at: until });
  await take(backup, { at: until + 1n }); // Of the same second: its id cannot tell.
  for (let hour = 2n; hour < 50n; hour++) await take(backup, { at: timeOfRun(0) + hour * hourMs });
  const { found, read } = await ask(backup, { until });
  expect(found).toEqual([inTime, "run run-0"]);
  expect(read).toHaveLength(2);
});

test("a snapshot whose id says no time is read, wherever it belongs", async () => {
  const backup = await knownBackup([{ groups: standing }, { groups: standing }]);
  const id = await take(backup, { at: timeOfRun(0) + 1n, id: "before-the-upgrade" });
  expect((await ask(backup)).found).toEqual(["run run-1", id, "run run-0"]);
  expect((await ask(backup, { until: timeOfRun(0) })).found).toEqual(["run run-0"]);
});

test("of many safety snapshots, and another cluster's, none counts, and with a table none is read", async () => {
  const backup = await knownBackup([{ groups: standing }]);
  const ids: string[] = [];
  for (let hour = 1n; hour <= 30n; hour++) {
    const at = timeOfRun(0) + hour * hourMs;
    ids.push(await take(backup, { at, ...(hour % 2n ? { safety: true } : { cluster_id: "x" }) }));
  }
  expect((await ask(backup)).found).toEqual(["run run-0"]);
  expect(await ask(backup, { known: new Set(ids) })).toEqual({ found: ["run run-0"], read: [] });
});

test("a snapshot that is removed while moments are looked for is passed over", async () => {
  const backup = await knownBackup([{ groups: standing }]);
  const id = await take(backup, { at: timeOfRun(0) + 1n });
  const { manifest } = (await backup.catalog.latestManifest(backupId))!;
  const moments = knownMoments(
    {
      storage: backup.storage,
      catalog: {
        ...backup.catalog,
        snapshots: async function* () {
          yield { snapshot_id: id, summary: undefined };
          yield { snapshot_id: "removed", summary: undefined };
        },
      },
    },
    manifest,
  );
  const found = await collect(moments);
  expect(found.map(({ from }) => from)).toEqual([`snapshot ${id}`, "run run-0"]);
});

test("the order and the choice are those of reading every snapshot", async () => {
  const time = fc.integer({ min: -3_000, max: 3_000 }).map((ms) => timeOfRun(1) + BigInt(ms));
  const snapshot = fc.record({
    at: time,
    safety: fc.boolean(),
    isOurs: fc.boolean(),
    isNamed: fc.boolean(),
    isKnown: fc.boolean(),
  });
  const asked = fc.record({
    until: fc.option(time, { nil: undefined }),
    count: fc.integer({ min: 1, max: 30 }),
    without_runs: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(snapshot, { maxLength: 25 }), asked, async (snapshots, request) => {
      const backup = await knownBackup([{ groups: standing }, { groups: standing }]);
      const known = new Set<string>();
      const right: { from: string; at: bigint }[] = request.without_runs
        ? []
        : [0, 1].map((run) => ({ from: `run run-${run}`, at: timeOfRun(run) }));
      for (const [i, { at, safety, isOurs, isNamed, isKnown }] of snapshots.entries()) {
        const fields = { ...(safety && { safety }), ...(!isOurs && { cluster_id: "another" }) };
        const id = await take(backup, { at, ...(isNamed && { id: `mine-${i}` }), ...fields });
        if (isKnown) known.add(id);
        if (!safety && isOurs) right.push({ from: id, at });
      }
      const { until = timeOfRun(9) } = request;
      const wanted = right.filter(({ at }) => at <= until);
      const { found } = await ask(backup, { ...request, known });
      const timesOf = (names: readonly string[]) =>
        names.map((name) => right.find(({ from }) => from === name)!.at);
      const times = wanted.map(({ at }) => at).sort((a, b) => (a > b ? -1 : a < b ? 1 : 0));
      expect(timesOf(found)).toEqual(times.slice(0, request.count));
      expect(new Set(found).size).toBe(found.length);
    }),
    { numRuns: 150 },
  );
});
