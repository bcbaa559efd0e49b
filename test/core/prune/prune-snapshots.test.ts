/** Snapshots of offsets are kept as long as somebody may need them, and no longer where asked. */
import { expect, test } from "vitest";
import { formatVersion } from "#core/catalog/manifest.ts";
import { snapshotFacts } from "#core/offsets/snapshot.ts";
import {
  ageLeastMs,
  type PruneSnapshotsRequest,
  pruneSnapshots,
} from "#core/prune/prune-snapshots.ts";
import { deadlineAt } from "#core/runtime.ts";
import { snapshotKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { newSnapshotId } from "#core/storage/snapshot-ids.ts";
import { randomId, systemClock } from "#core/system.ts";
import type { ThreePhaseIntent } from "#core/three-phase/documents.ts";
import { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { storeSnapshot } from "#test/support/known-groups.ts";
import { syntheticBackup, syntheticBackupId } from "#test/support/synthetic-backup.ts";

const dayMs = 24 * 60 * 60 * 1000;
const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);

/** A place with a backup whose store has a clock of its own, which tests move. */
async function place() {
  const time = { nowMs: Date.parse("2026-01-31T12:00:00Z") };
  const storage = openMemory(undefined, () => time.nowMs);
  await syntheticBackup(storage).addRun({ partitions: [{ segments: [] }] });
  const catalog = catalogOn(storage);
  let taken = 0;
  return {
    storage,
    catalog,
    time,
    async take(fields: { safety?: boolean } = {}): Promise<string> {
      const id = newSnapshotId(time.nowMs, String(taken++).padStart(8, "0"));
      const created_at = new Date(time.nowMs).toISOString();
      const standing = { billing: { "orders-0": 10n } };
      await storeSnapshot({ storage } as never, id, standing, { created_at, ...fields });
      return id;
    },
    passDays(days: number) {
      time.nowMs += days * dayMs;
    },
    threePhase: (id: string) => new ThreePhaseRecord(storage, syntheticBackupId, id),
  };
}

type Place = Awaited<ReturnType<typeof place>>;

async function prune(at: Place, request: Partial<PruneSnapshotsRequest> = {}) {
  const { storage, catalog, time } = at;
  // The machine that prunes has a clock that is wrong by ten years.
  const clock = {
    ...systemClock,
    nowMs: () => time.nowMs - (request.execute === false ? 0 : 3650 * dayMs),
  };
  const whole = { kind: "all" as const, older_than_ms: 30 * dayMs, execute: true, ...request };
  const result = await pruneSnapshots(
    { storage, catalog, clock, newId: randomId },
    whole,
    deadline,
  );
  return Object.fromEntries(result.snapshots.map(({ snapshot_id, fate }) => [snapshot_id, fate]));
}

async function idsIn({ catalog, storage }: Place): Promise<string[]> {
  const all = await collect(storage.list("snapshots/"));
  expect(all.filter(({ key }) => !key.endsWith(".json"))).toEqual([]);
  return (await collect(catalog.snapshots())).map(({ snapshot_id }) => snapshot_id);
}

test("C6: old ones are removed, by the store's clock, and only where that is asked for", async () => {
  const at = await place();
  const old = await at.take();
  at.passDays(30);
  const young = await at.take({ safety: true });
  expect(await prune(at, { execute: false })).toEqual({ [old]: "would_remove", [young]: "young" });
  expect(await idsIn(at)).toEqual([old, young]);
  expect(await prune(at)).toEqual({ [old]: "removed", [young]: "young" });
  expect(await idsIn(at)).toEqual([young]);
});

test("C6: what people took stays, unless all kinds are asked for", async () => {
  const at = await place();
  const [mine, safety] = [await at.take(), await at.take({ safety: true })];
  at.passDays(31);
  expect(await prune(at, { kind: "safety" })).toEqual({ [mine]: "kept", [safety]: "removed" });
  expect(await prune(at, { kind: "all" })).toEqual({ [mine]: "removed" });
});

function intentOf(id: string, offset_source: ThreePhaseIntent["offset_source"]): ThreePhaseIntent {
  return {
    ...{ format_version: formatVersion, backup_id: syntheticBackupId, three_phase_id: id },
    ...{ created_at: 1n, request_sha256: "", restore_request_sha256: "", target_cluster_id: "t" },
    ...{ start_new: false, past_restores: [], groups: ["billing"], strategy: "offset-map" },
    ...{ offset_source, positions: [], left_alone: [], duration_ms: 0 },
  };
}

test("C6: what a three-phase restore that is not over has written down stays, until it is over", async () => {
  const at = await place();
  const named = await at.take();
  const [first, attempt1, attempt2] = [
    await at.take({ safety: true }),
    await at.take({ safety: true }),
    await at.take({ safety: true }),
  ];
  const record = at.threePhase("20260131T120000Z-00000001");
  await record.writeIntent(intentOf(record.id, `snapshot:${named}`));
  await record.writeSnapshot({ snapshot_id: first, taken_at: 1n });
  await record.writeResetSnapshot(1, { snapshot_id: attempt1, taken_at: 1n });
  await record.writeResetSnapshot(2, { snapshot_id: attempt2, taken_at: 1n });
  at.passDays(400);
  const needed = Object.fromEntries([named, first, attempt1, attempt2].map((id) => [id, "needed"]));
  expect(await prune(at)).toEqual(needed);
  await record.writeAbandoned({ abandoned_at: 2n });
  expect(new Set(Object.values(await prune(at)))).toEqual(new Set(["removed"]));
  expect(await idsIn(at)).toEqual([]);
});

test("C6: nothing is removed while nobody can read what a three-phase restore needs", async () => {
  const at = await place();
  const old = await at.take({ safety: true });
  const folder = `${syntheticBackupId}/three-phase/20260131T120000Z-00000001`;
  await at.storage.put(`${folder}/snapshot.json`, Buffer.from("{"));
  at.passDays(400);
  await expect(prune(at)).rejects.toMatchObject({ name: "CorruptManifestError" });
  expect(await idsIn(at)).toEqual([old]);
});

test("one that cannot be read is told and kept", async () => {
  const at = await place();
  await at.storage.put(snapshotKey("damaged"), Buffer.from("{"));
  const old = await at.take();
  at.passDays(31);
  expect(await prune(at)).toEqual({ damaged: "unreadable", [old]: "removed" });
  expect(await idsIn(at)).toEqual(["damaged"]);
});

test("what the catalogue knows is not read, and is forgotten before it is removed", async () => {
  const at = await place();
  const old = await at.take({ safety: true });
  const body = await at.storage.get(snapshotKey(old));
  const summary = {
    ...snapshotFacts(JSON.parse(body.toString())),
    ...{ safety: true, bytes: body.length },
  };
  await at.storage.put(snapshotKey(old), Buffer.alloc(body.length));
  at.passDays(31);
  const forgotten: string[] = [];
  const catalog = {
    ...at.catalog,
    snapshots: async function* () {
      yield { snapshot_id: old, summary };
    },
    forgetSnapshots: async (ids: readonly string[]) => {
      expect(await at.storage.head(snapshotKey(old))).toBeDefined();
      forgotten.push(...ids);
    },
  };
  expect(await prune({ ...at, catalog }, { kind: "safety" })).toEqual({ [old]: "removed" });
  expect(forgotten).toEqual([old]);
});

test("an age below a day is refused: a command may be about to write down what it took", async () => {
  const at = await place();
  await expect(prune(at, { older_than_ms: ageLeastMs - 1 })).rejects.toMatchObject({
    name: "InvalidRequestError",
  });
  expect(await prune(at, { older_than_ms: ageLeastMs })).toEqual({});
});
