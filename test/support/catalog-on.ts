import { randomBytes } from "node:crypto";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

/** A catalogue in the objects of `storage`, on a clock that stands still. */
export function catalogOn(storage: StorageBackend, clock = new FakeClock()): Catalog {
  return openCatalog({ storage, clock, newId: () => randomBytes(8).toString("hex") });
}

/** The same storage with some methods replaced: a fault, or a count. */
export function withMethods(
  storage: StorageBackend,
  methods: Partial<StorageBackend>,
): StorageBackend {
  return new Proxy(storage, {
    get: (target, name) => {
      const own = methods[name as keyof StorageBackend];
      if (own !== undefined) return own;
      const value = target[name as keyof StorageBackend];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
