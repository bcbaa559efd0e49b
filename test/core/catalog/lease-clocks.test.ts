/** Machines whose wall clocks disagree: the lease compares none of them (C7). */
import { expect, test } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const scope = { backupId: "orders", purpose: "backup" };
const never = new AbortController().signal;
const noon = Date.UTC(2026, 0, 31, 12);
const hourMs = 3_600_000;

function acquire(storage: StorageBackend, clock: FakeClock) {
  return clock.runUntil(catalogOn(storage, clock).acquireLease(scope, 35_000, never));
}

test.each([-24, -1, 0, 1, 24])(
  "C7: an observer whose clock is %i hours off waits the same 30 s for a dead run's lease",
  async (hours) => {
    const storage = openMemory();
    await acquire(storage, new FakeClock(noon));
    const clock = new FakeClock(noon + hours * hourMs);
    await acquire(storage, clock);
    expect(clock.monotonicMs()).toBe(30_000);
  },
);

test.each([-24, -1, 0, 1, 24])(
  "C7: an observer whose clock is %i hours off leaves a living run's lease alone",
  async (hours) => {
    const storage = openMemory();
    const held = await acquire(storage, new FakeClock(noon));
    const clock = new FakeClock(noon + hours * hourMs);
    let renewedAtMs = 0;
    const whileRenewed = withMethods(storage, {
      list: async function* (prefix) {
        if (clock.monotonicMs() - renewedAtMs >= 10_000) {
          renewedAtMs = clock.monotonicMs();
          await held.renew();
        }
        yield* storage.list(prefix);
      },
    });
    await expect(acquire(whileRenewed, clock)).rejects.toMatchObject({
      name: "BackupConflictError",
      message: expect.stringContaining("was seen to move"),
    });
    await held.renew();
  },
);
