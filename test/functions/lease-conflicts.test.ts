import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { openMemory } from "#core/storage/memory.ts";
import { measuringConflicts } from "#functions/lease-conflicts.ts";
import { catalogOn, withMethods } from "#test/support/catalog-on.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const never = new AbortController().signal;
const scopes = [
  { backupId: "orders", purpose: "backup" },
  restoreScope("orders", "target-cluster"),
];

/** One bucket and clock, the catalogue of a run, that of another, and what that one measures. */
function twoRuns(storage = openMemory()) {
  const clock = new FakeClock();
  const measured: unknown[] = [];
  const measure = (...of: unknown[]) => void measured.push(of);
  const first = catalogOn(storage, clock);
  return {
    clock,
    first,
    second: measuringConflicts(catalogOn(storage, clock), measure, clock),
    measured,
  };
}

test.each(scopes)(
  "a lease of $purpose that is refused is measured, with how long it is held",
  async (scope) => {
    const { clock, first, second, measured } = twoRuns();
    const lease = await first.acquireLease(scope, 0, never);
    await clock.advance(90_000);
    await lease.renew();
    const refused = expect(second.acquireLease(scope, 0, never)).rejects;
    await refused.toMatchObject({ name: "BackupConflictError" });
    const metrics = { LeaseConflicts: [1, "Count"], LeaseHeldFor: [90, "Seconds"] };
    expect(measured).toEqual([["orders", metrics]]);
  },
);

test("a holder whose clock is ahead is measured without how long", async () => {
  const storage = openMemory();
  const { second, measured } = twoRuns(storage);
  const ahead = catalogOn(storage, new FakeClock(Date.UTC(2027, 0, 1)));
  await ahead.acquireLease(scopes[0]!, 0, never);
  await expect(second.acquireLease(scopes[0]!, 0, never)).rejects.toThrow();
  expect(measured).toEqual([["orders", { LeaseConflicts: [1, "Count"] }]]);
});

test("a lease that is free, and a storage that fails, are no conflicts", async () => {
  const { second, measured } = twoRuns();
  await (await second.acquireLease(scopes[0]!, 0, never)).release();
  const gone = withMethods(openMemory(), {
    createIfAbsent: () => Promise.reject(new BackupError("StorageUnavailableError", "gone")),
  });
  const withoutStorage = twoRuns(gone);
  const failed = expect(withoutStorage.second.acquireLease(scopes[0]!, 0, never)).rejects;
  await failed.toMatchObject({ name: "StorageUnavailableError" });
  expect([...measured, ...withoutStorage.measured]).toEqual([]);
});

test("no function has a catalogue that does not measure", () => {
  const folder = join(import.meta.dirname, "../../functions");
  const opened = readdirSync(folder)
    .flatMap((file) => readFileSync(join(folder, file), "utf8").split("\n"))
    .filter((line) => /\bclients\.catalog\(|\bopenCatalog\(/.test(line))
    .map((line) => line.trim());
  expect(opened).toEqual([
    "catalog: measuringConflicts(await clients.catalog(), measure, systemClock),",
    "return openCatalog({ ...deps, logger: this.#logger }, opened);",
  ]);
});
