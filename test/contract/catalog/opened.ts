/** What the parts of the contract are handed, and what they have in common. */
import { expect } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { ErrorName } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { FakeClock } from "#test/support/fake-clock.ts";

/** One process's view: its own clock, and the bucket that holds the write-once documents. */
export interface OpenedCatalog {
  readonly catalog: Catalog;
  readonly clock: FakeClock;
  readonly storage: StorageBackend;
}

export type Opened = () => OpenedCatalog;

let nextBackup = 0;

/** Of a backup that no other test knows; ascending. */
export function newBackupId(): string {
  return `backup-${String(nextBackup++).padStart(4, "0")}`;
}

export function named(error: ErrorName, message = /./) {
  return expect.objectContaining({ name: error, message: expect.stringMatching(message) });
}
