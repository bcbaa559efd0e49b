/** What every Catalog does, wherever it keeps things. One run per sibling. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Catalog, Lease, LeaseScope } from "#core/catalog/catalog.ts";
import type { ErrorName } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import {
  checkpointOf,
  clusterDocumentOf,
  lineageOf,
  manifestOf,
  runDocumentOf,
  runEntriesOf,
  runEntryOf,
  runListOf,
  segmentOf,
} from "#test/support/catalog-documents.ts";
import { collect } from "#test/support/collect.ts";
import type { FakeClock } from "#test/support/fake-clock.ts";

/** One process's view: its own clock, and the bucket that holds the write-once documents. */
export interface OpenedCatalog {
  readonly catalog: Catalog;
  readonly clock: FakeClock;
  readonly storage: StorageBackend;
}

/** `open` gives another process's view of the same, initially empty, place each time. */
export function catalogContract(name: string, open: () => Promise<OpenedCatalog>): void {
  let opened: OpenedCatalog;
  let nextBackup = 0;
  const newBackupId = () => `backup-${String(nextBackup++).padStart(4, "0")}`;

  describe(name, () => {
    beforeAll(async () => {
      opened = await open();
    });

    describe("manifests", () => {
      manifestContract(() => opened, newBackupId);
    });
    describe("documents of a run", () => {
      runContract(() => opened, newBackupId);
    });
    describe("runs under way", () => {
      openRunContract(() => opened, newBackupId);
    });
    describe("checkpoints", () => {
      checkpointContract(() => opened, newBackupId);
    });
    describe("the lease", () => {
      leaseContract(open, newBackupId);
    });
  });
}

type Opened = () => OpenedCatalog;
type NewId = () => string;

function named(error: ErrorName, message = /./) {
  return expect.objectContaining({ name: error, message: expect.stringMatching(message) });
}

function manifestContract(opened: Opened, newBackupId: NewId): void {
  test("are absent before the first commit", async () => {
    const { catalog } = opened();
    expect(await catalog.latestManifest(newBackupId())).toBeUndefined();
  });

  test("come back as committed, by number and as the newest", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const first = await catalog.commitManifest(manifestOf({ backup_id }));
    const second = await catalog.commitManifest(
      manifestOf({
        backup_id,
        generation: 2,
        previous_sha256: first.sha256,
        runs: [runEntryOf(1)],
      }),
    );
    expect(await catalog.readManifest(backup_id, 1)).toEqual(first);
    expect(await catalog.readManifest(backup_id, 2)).toEqual(second);
    expect(await catalog.latestManifest(backup_id)).toEqual(second);
    expect(second.manifest.runs).toEqual([runEntryOf(1)]);
  });

  test("keep every 64-bit offset exactly", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const lineages = [2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n].map((next_offset, i) =>
      lineageOf({ lineage: i + 1, next_offset }),
    );
    const partitions = [{ partition: 0, lineages }];
    const topic = { name: "orders", partition_count: 1, replication_factor: 1, config: {} };
    const manifest = manifestOf({ backup_id, topics: [{ ...topic, partitions }] });
    await catalog.commitManifest(manifest);
    expect((await catalog.readManifest(backup_id, 1)).manifest).toEqual(manifest);
  });

  test("C4: a commit delivered twice succeeds and changes nothing", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const manifest = manifestOf({ backup_id });
    const first = await catalog.commitManifest(manifest);
    const next = manifestOf({ backup_id, generation: 2, previous_sha256: first.sha256 });
    const second = await catalog.commitManifest(next);
    expect(await catalog.commitManifest(manifest)).toEqual(first);
    expect(await catalog.latestManifest(backup_id)).toEqual(second);
  });

  test("C2: a generation that exists with other content is a conflict, and stays", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const first = await catalog.commitManifest(manifestOf({ backup_id }));
    await expect(catalog.commitManifest(manifestOf({ backup_id, created_at: 1n }))).rejects.toEqual(
      named("BackupConflictError"),
    );
    expect(await catalog.latestManifest(backup_id)).toEqual(first);
  });

  test("C2: of 10 different commits of one generation one succeeds", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        catalog.commitManifest(manifestOf({ backup_id, created_at: BigInt(i) })),
      ),
    );
    const won = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" ? [outcome.value] : [],
    );
    const lost = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [outcome.reason.name] : [],
    );
    expect(won).toHaveLength(1);
    expect(lost).toEqual(Array(9).fill("BackupConflictError"));
    expect(await catalog.latestManifest(backup_id)).toEqual(won[0]);
  });

  test("that do not exist are not found", async () => {
    const { catalog } = opened();
    await expect(catalog.readManifest(newBackupId(), 7)).rejects.toEqual(
      named("BackupNotFoundError", /generation 7/),
    );
  });

  test("stay small: the oldest 256 of 512 runs move to a page, and all are found in order", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    let stored = await catalog.commitManifest(
      manifestOf({ backup_id, runs: runEntriesOf(1, 511) }),
    );
    expect(stored.manifest).toMatchObject({ run_pages: [] });
    for (const [generation, number] of [
      [2, 512],
      [3, 513],
    ] as const) {
      const { manifest, sha256: previous_sha256 } = stored;
      const runs = [...manifest.runs, runEntryOf(number)];
      stored = await catalog.commitManifest({ ...manifest, generation, previous_sha256, runs });
    }
    expect(stored.manifest.run_pages).toMatchObject([{ run_count: 256 }]);
    expect(stored.manifest.runs).toEqual(runEntriesOf(257, 513));
    expect(await collect(catalog.runsOf(stored.manifest))).toEqual(runEntriesOf(1, 513));
  });

  test("S2: of a backup id that is a path are refused", async () => {
    const { catalog } = opened();
    for (const backup_id of ["../other", "a/b", "", ".", "snapshots"]) {
      await expect(catalog.commitManifest(manifestOf({ backup_id }))).rejects.toEqual(
        named("InvalidRequestError"),
      );
      await expect(catalog.latestManifest(backup_id)).rejects.toEqual(named("InvalidRequestError"));
    }
  });

  test("are listed by backup, in order, whether or not a first run was committed", async () => {
    const { catalog, storage } = opened();
    const ids = [newBackupId(), newBackupId(), newBackupId()];
    await catalog.commitManifest(manifestOf({ backup_id: ids[2]! }));
    await catalog.commitManifest(manifestOf({ backup_id: ids[0]! }));
    await catalog.appendCheckpoint(
      { backupId: ids[1]!, runId: "r1", topic: "orders", partition: 0 },
      checkpointOf(0),
    );
    await storage.put("snapshots/one.json", Buffer.from("{}"));
    await storage.put("somebody-elses/file.txt", Buffer.from("hello"));
    const listed = await collect(catalog.listBackups());
    expect(listed.filter((id) => ids.includes(id))).toEqual(ids);
    expect(listed).toEqual([...listed].sort());
    expect(listed).not.toContain("snapshots");
    expect(listed).not.toContain("somebody-elses");
  });
}

function runContract(opened: Opened, newBackupId: NewId): void {
  test.each(["orders", "run", "cluster", "run.json", "..."])(
    "of a topic called %s come back as written",
    async (topic) => {
      const { catalog } = opened();
      const backup_id = newBackupId();
      const list = runListOf({ backup_id, topic });
      const cluster = await catalog.writeClusterDocument(
        backup_id,
        list.run_id,
        clusterDocumentOf(),
      );
      const lists = [{ topic, ...(await catalog.writeRunList(list)) }];
      const run = runDocumentOf({ backup_id, cluster, lists });
      const reference = await catalog.writeRunDocument(run);

      const read = await catalog.readRunDocument(backup_id, reference);
      expect(read).toEqual(run);
      expect(await catalog.readRunList(backup_id, read.lists[0]!)).toEqual(list);
      expect(await catalog.readClusterDocument(backup_id, read.cluster)).toEqual(
        clusterDocumentOf(),
      );
    },
  );

  test("C4: may be written twice, but not with other content", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const reference = await catalog.writeRunList(runListOf({ backup_id }));
    expect(await catalog.writeRunList(runListOf({ backup_id }))).toEqual(reference);
    await expect(catalog.writeRunList(runListOf({ backup_id, partitions: [] }))).rejects.toEqual(
      named("BackupConflictError"),
    );
  });

  test("I2: are refused when they are not what their reference says", async () => {
    const { catalog, storage } = opened();
    const backup_id = newBackupId();
    const reference = await catalog.writeRunList(runListOf({ backup_id }));
    const key = inBackup(backup_id, reference.key);
    const body = await storage.get(key);
    const flipped = Buffer.from(body);
    flipped[100]! ^= 1;
    for (const [damaged, problem] of [
      [flipped, /SHA-256/],
      [body.subarray(0, -1), /bytes/],
      [Buffer.concat([body, Buffer.from("\n")]), /bytes/],
      [Buffer.alloc(0), /bytes/],
    ] as const) {
      await storage.put(key, damaged);
      await expect(catalog.readRunList(backup_id, reference)).rejects.toEqual(
        named("CorruptManifestError", problem),
      );
    }
    await storage.delete([key]);
    await expect(catalog.readRunList(backup_id, reference)).rejects.toEqual(
      named("CorruptManifestError", /missing/),
    );
  });

  test("S2: are refused when a key in them leads elsewhere", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const partition = runListOf().partitions[0]!;
    for (const key of ["../x", "topics/orders/partition=1/segment-00000000000000000000-a.zst"]) {
      const segments = [{ ...segmentOf(0n, 9n), key }];
      const list = runListOf({ backup_id, partitions: [{ ...partition, segments }] });
      await expect(catalog.writeRunList(list)).rejects.toEqual(named("CorruptManifestError"));
    }
    const lists = [{ ...runDocumentOf().lists[0]!, key: "runs/other/topics/orders.json" }];
    const reference = await catalog.writeRunDocument(runDocumentOf({ backup_id, lists }));
    await expect(catalog.readRunDocument(backup_id, reference)).rejects.toEqual(
      named("CorruptManifestError", /lists\.0\.key/),
    );
    await expect(
      catalog.readRunDocument(backup_id, { ...reference, key: "../other/manifest.json" }),
    ).rejects.toEqual(named("CorruptManifestError"));
  });
}

function openRunContract(opened: Opened, newBackupId: NewId): void {
  const run = { run_id: "run-a", base_generation: 0, started_at: 5n };

  test("are found until they are closed", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    expect(await catalog.openRun(backupId)).toBeUndefined();
    await catalog.writeOpenRun(backupId, run);
    await catalog.writeOpenRun(backupId, run);
    expect(await catalog.openRun(backupId)).toEqual(run);
    await catalog.closeRun(backupId, run.run_id);
    expect(await catalog.openRun(backupId)).toBeUndefined();
    await catalog.closeRun(backupId, run.run_id);
  });

  test("C2: are not opened twice with other content", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    await catalog.writeOpenRun(backupId, run);
    await expect(catalog.writeOpenRun(backupId, { ...run, started_at: 6n })).rejects.toEqual(
      named("BackupConflictError"),
    );
  });

  test("take their checkpoints with them when they are closed", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    const at = { backupId, runId: run.run_id, topic: "orders", partition: 0 };
    await catalog.writeOpenRun(backupId, run);
    for (const sequence of [0, 1, 2]) await catalog.appendCheckpoint(at, checkpointOf(sequence));
    await catalog.closeRun(backupId, run.run_id);
    expect(await catalog.checkpoints(at)).toEqual([]);
  });

  test("of several the one on the newest base is the open one", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    const newer = { ...run, run_id: "run-0", base_generation: 1 };
    await catalog.writeOpenRun(backupId, run);
    await catalog.writeOpenRun(backupId, newer);
    expect(await catalog.openRun(backupId)).toEqual(newer);
    await catalog.closeRun(backupId, newer.run_id);
    expect(await catalog.openRun(backupId)).toBeUndefined();
  });
}

function checkpointContract(opened: Opened, newBackupId: NewId): void {
  test("come back in order of their sequence, each partition's for itself", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 0 };
    const parts = Array.from({ length: 12 }, (_, sequence) => checkpointOf(sequence));
    for (const part of parts) await catalog.appendCheckpoint(at, part);
    expect(await catalog.checkpoints(at)).toEqual(parts);
    expect(await catalog.checkpoints({ ...at, partition: 1 })).toEqual([]);
    expect(await catalog.checkpoints({ ...at, runId: "s" })).toEqual([]);
  });

  test("C4: may be appended twice, but not with other content", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 0 };
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await expect(
      catalog.appendCheckpoint(at, { ...checkpointOf(0), next_offset: 11n }),
    ).rejects.toEqual(named("BackupConflictError"));
    expect(await catalog.checkpoints(at)).toEqual([checkpointOf(0)]);
  });

  test("with one missing in between are refused", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 0 };
    for (const sequence of [0, 2]) await catalog.appendCheckpoint(at, checkpointOf(sequence));
    await expect(catalog.checkpoints(at)).rejects.toEqual(
      named("CorruptManifestError", /00000001/),
    );
  });
}

const waitMs = 35_000;
const never = new AbortController().signal;

function leaseContract(open: () => Promise<OpenedCatalog>, newBackupId: NewId): void {
  const conflict = (message?: RegExp) => named("BackupConflictError", message);
  const scopeOf = (purpose = "backup"): LeaseScope => ({ backupId: newBackupId(), purpose });
  /** Runs `acquireLease` of one process, moving its clock as it waits. */
  const acquire = (process: OpenedCatalog, scope: LeaseScope, wait = waitMs): Promise<Lease> =>
    process.clock.runUntil(process.catalog.acquireLease(scope, wait, never));

  test("is taken at once when it is free, and its token grows with each renewal", async () => {
    const a = await open();
    const lease = await acquire(a, scopeOf(), 0);
    const tokens = [lease.token];
    for (let i = 0; i < 5; i++) {
      await lease.renew();
      tokens.push(lease.token);
    }
    expect(tokens).toEqual([...new Set(tokens)].sort((x, y) => x - y));
    expect(a.clock.monotonicMs()).toBe(0);
  });

  test("C5: held by a living run, it refuses others as soon as it is seen to move", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    const lease = await acquire(a, scope);
    const refused = expect(b.catalog.acquireLease(scope, waitMs, never)).rejects.toEqual(
      conflict(/owner .+ \(backup\), since 2026-01-31T12:00:00.000Z .+ seen to move.+30 s/),
    );
    while (b.clock.sleeperCount === 0) await new Promise(setImmediate);
    await lease.renew();
    await b.clock.runUntil(refused);
    expect(b.clock.monotonicMs()).toBeLessThan(5_000);
    await lease.renew();
  });

  test("released, it is taken by the next at once", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    const first = await acquire(a, scope);
    await first.release();
    await first.release();
    const second = await acquire(b, scope, 0);
    expect(second.token).toBeGreaterThan(first.token);
    expect(b.clock.monotonicMs()).toBe(0);
    await expect(first.renew()).rejects.toEqual(conflict(/released/));
    await second.renew();
  });

  test("C5: of a dead run it is taken over after 30 s, and the dead one can do no more", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    const dead = await acquire(a, scope);
    const alive = await acquire(b, scope);
    expect(b.clock.monotonicMs()).toBeGreaterThanOrEqual(30_000);
    expect(b.clock.monotonicMs()).toBeLessThanOrEqual(waitMs);
    await expect(dead.renew()).rejects.toEqual(conflict(/taken over/));
    await expect(dead.renew()).rejects.toEqual(conflict(/taken over/));
    await dead.release();
    await alive.renew();
    expect(alive.token).toBeGreaterThan(dead.token + 1);
  });

  test("C5: a run that slept while others came and went finds that it lost", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    const scope = scopeOf();
    const sleeper = await acquire(a, scope);
    const second = await acquire(b, scope);
    for (let i = 0; i < 10; i++) await second.renew();
    await second.release();
    const third = await acquire(c, scope);
    for (let i = 0; i < 10; i++) await third.renew();
    await expect(sleeper.renew()).rejects.toEqual(conflict());
    await third.renew();
  });

  test("C7: is not taken before 30 s by the observer's own clock, whatever the wall clocks say", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    const lease = await acquire(a, scope);
    await a.clock.advance(3_600_000);
    await expect(acquire(b, scope, 29_000)).rejects.toEqual(conflict(/not still for 30 s/));
    await lease.renew();
  });

  test("is not waited for when there is no time to wait", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    await acquire(a, scope);
    await expect(acquire(b, scope, 0)).rejects.toEqual(conflict());
    expect(b.clock.monotonicMs()).toBe(0);
  });

  test("is held by one of 10 that want it at once", async () => {
    const processes = await Promise.all(Array.from({ length: 10 }, open));
    const scope = scopeOf();
    const outcomes = await Promise.allSettled(processes.map((process) => acquire(process, scope)));
    const leases = outcomes.flatMap((o) => (o.status === "fulfilled" ? [o.value] : []));
    expect(leases).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toEqual(conflict());
    }
    await leases[0]!.renew();
  });

  test("may be renewed by a heartbeat and a commit at the same time", async () => {
    const lease = await acquire(await open(), scopeOf());
    await Promise.all([lease.renew(), lease.renew(), lease.renew()]);
    expect(lease.token).toBe(4);
  });

  test("is held on by other processes of the same run, one after the other and at once", async () => {
    const [a, b, c, d] = [await open(), await open(), await open(), await open()];
    const scope = scopeOf();
    const first = await acquire(a, scope);
    const second = await b.catalog.continueLease(scope, first.holder);
    expect(second.holder).toEqual({ owner: first.holder.owner, token: second.token });
    expect(second.token).toBeGreaterThan(first.token);
    const third = await c.catalog.continueLease(scope, first.holder);
    for (let i = 0; i < 5; i++) await Promise.all([first.renew(), second.renew(), third.renew()]);
    await expect(acquire(d, scope, 0)).rejects.toEqual(conflict());
  });

  test("let go of by one process of a run, no other of them holds it any more", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    const scope = scopeOf();
    const first = await acquire(a, scope);
    const second = await b.catalog.continueLease(scope, first.holder);
    await second.release();
    await expect(first.renew()).rejects.toEqual(conflict());
    await expect(b.catalog.continueLease(scope, second.holder)).rejects.toEqual(conflict());
    const next = await acquire(c, scope, 0);
    await first.release();
    await next.renew();
  });

  test("C5: taken over, no process of the former run goes on holding it", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    const scope = scopeOf();
    const dead = await acquire(a, scope);
    const alive = await acquire(b, scope);
    await expect(c.catalog.continueLease(scope, dead.holder)).rejects.toEqual(
      conflict(/not by this run's owner/),
    );
    await alive.renew();
  });

  test("guards each purpose of each backup for itself", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    await acquire(a, scope);
    await acquire(b, scopeOf(), 0);
    await acquire(b, { ...scope, purpose: "restore:MkU3OEVBNTcwNTJENDM2Qg" }, 0);
    await acquire(b, { ...scope, purpose: "restore:../../odd cluster" }, 0);
  });

  test("is not waited for any longer when the wait is cancelled", async () => {
    const [a, b] = [await open(), await open()];
    const scope = scopeOf();
    await acquire(a, scope);
    const cancel = new AbortController();
    const waiting = expect(b.catalog.acquireLease(scope, waitMs, cancel.signal)).rejects.toThrow(
      "Ctrl-C",
    );
    while (b.clock.sleeperCount === 0) await new Promise(setImmediate);
    cancel.abort(new Error("Ctrl-C"));
    await waiting;
  });
}
