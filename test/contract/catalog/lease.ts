/** One writer at a time. */
import { expect, test } from "vitest";
import type { Lease, LeaseScope } from "#core/catalog/catalog.ts";
import { named, newBackupId, type OpenedCatalog } from "#test/contract/catalog/opened.ts";

const waitMs = 35_000;
const never = new AbortController().signal;

export function leaseContract(open: () => Promise<OpenedCatalog>): void {
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
