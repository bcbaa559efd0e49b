/** Chooses the catalogue; nothing else names one. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { type ObjectCatalogDeps, openObjectCatalog } from "#core/catalog/objects.ts";

export type CatalogDeps = ObjectCatalogDeps;

export function openCatalog(deps: CatalogDeps): Catalog {
  return openObjectCatalog(deps);
}
