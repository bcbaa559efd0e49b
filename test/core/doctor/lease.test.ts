import { expect, test } from "vitest";
import { checkLease } from "#core/doctor/backup-state.ts";
import { openMemory } from "#core/storage/memory.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const scope = { backupId: "nightly", purpose: "backup" };
const { signal } = new AbortController();

function setUp() {
  const clock = new FakeClock();
  const storage = openMemory();
  const catalog = catalogOn(storage, clock);
  return { clock, storage, acquire: () => catalog.acquireLease(scope, 0, signal) };
}

test("no lease is said so at once", async () => {
  const { clock, storage, acquire } = setUp();
  expect(await checkLease(storage, scope, clock, signal)).toEqual({
    seen: "no run holds the backup",
    value: undefined,
  });
  await (await acquire()).release();
  expect(await checkLease(storage, scope, clock, signal)).toMatchObject({
    seen: "no run holds the backup",
  });
});

test("a lease that moves is a run's that is alive", async () => {
  const { clock, storage, acquire } = setUp();
  const lease = await acquire();
  const checking = checkLease(storage, scope, clock, signal);
  await clock.advance(500);
  await lease.renew();
  await clock.advance(1_000);
  expect(await checking).toMatchObject({
    seen: "a run is under way",
    findings: [{ severity: "info", code: "lease-held" }],
  });
});

test("a lease that does not move is left from a run that died", async () => {
  const { clock, storage, acquire } = setUp();
  await acquire();
  const checking = checkLease(storage, scope, clock, signal);
  await clock.advance(12_000);
  expect(await checking).toMatchObject({
    seen: "a run was interrupted",
    findings: [{ severity: "info", code: "lease-left" }],
  });
});

test("a run that has held the lease for more than 12 hours is a warning", async () => {
  const { clock, storage, acquire } = setUp();
  const lease = await acquire();
  await clock.advance(12 * 3_600_000 + 1);
  const checking = checkLease(storage, scope, clock, signal);
  await clock.advance(500);
  await lease.renew();
  await clock.advance(1_000);
  expect(await checking).toMatchObject({
    findings: [{ severity: "warning", code: "lease-stuck" }],
  });
});

test("a run that ends meanwhile is no finding", async () => {
  const { clock, storage, acquire } = setUp();
  const lease = await acquire();
  const checking = checkLease(storage, scope, clock, signal);
  await clock.advance(500);
  await lease.release();
  await clock.advance(1_000);
  expect(await checking).toEqual({ seen: "a run has just ended", value: undefined });
});
