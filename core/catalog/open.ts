/** Chooses the catalogue; nothing else names one. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { type ObjectCatalogDeps, openObjectCatalog } from "#core/catalog/objects.ts";
import type { CatalogTable, TableLocation } from "#core/catalog/table.ts";
import { withTable } from "#core/catalog/with-table.ts";

export type CatalogDeps = ObjectCatalogDeps;

/** In the bucket alone. */
export function openCatalog(deps: CatalogDeps): Catalog {
  return openObjectCatalog(deps);
}

/** In the bucket, with a table in DynamoDB beside it; close the table when all is done. */
export async function openCatalogWithTable(
  deps: CatalogDeps,
  location: TableLocation,
): Promise<{ readonly catalog: Catalog; readonly table: CatalogTable }> {
  // Loading the SDK takes 0.2 s, which who has no table need not wait for.
  const { openDynamoTable } = await import("#core/catalog/dynamodb.ts");
  const table = openDynamoTable(location);
  return { catalog: withTable({ ...deps, objects: openObjectCatalog(deps), table }), table };
}
