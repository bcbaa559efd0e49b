/** Chooses the catalogue; nothing else names one. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { type ObjectCatalogDeps, openObjectCatalog } from "#core/catalog/objects.ts";
import type { CatalogTable, TableLocation } from "#core/catalog/table.ts";
import { withTable } from "#core/catalog/with-table.ts";
import { type RetryDeps, retryWith } from "#core/storage/retrying.ts";

export type CatalogDeps = ObjectCatalogDeps;

/**
 * In the bucket alone, or with a table beside it. One that holds leases serves one run at a time:
 * what it writes to the table bears the newest lease that it took or continued.
 */
export function openCatalog(deps: CatalogDeps, table?: CatalogTable): Catalog {
  const objects = openObjectCatalog(deps);
  return table === undefined ? objects : withTable({ ...deps, objects, table });
}

/**
 * A table in DynamoDB, whose calls repeat what could not be done at once; close it when all is
 * done.
 */
export async function openTable(location: TableLocation, deps: RetryDeps): Promise<CatalogTable> {
  // Loading the SDK takes 0.2 s, which who has no table need not wait for.
  const { openDynamoTable } = await import("#core/catalog/dynamodb.ts");
  return openDynamoTable(location, retryWith(deps));
}
