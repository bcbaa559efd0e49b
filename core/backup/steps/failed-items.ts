import { placeOf } from "#core/backup/ranges.ts";
import type { CatalogDeps, WorkItemRequest } from "#core/backup/steps/contract.ts";
import { unreadWorks } from "#core/backup/steps/unread.ts";
import { circuitOpenKey, failedItemKey } from "#core/storage/work-keys.ts";
import { openCircuitIfGone } from "#core/work-items/circuit.ts";
import { readFailures, writeFailures } from "#core/work-items/failures.ts";

/**
 * A worker that failed as a whole, after all its repetitions: each partition or range of its item
 * that was neither read to its end nor had failed by itself has failed by this error. Where it tells
 * that brokers or storage are gone, no other worker of the run tries again.
 */
export async function recordFailedItem(
  { storage, catalog }: CatalogDeps,
  request: WorkItemRequest,
  failure: { readonly error: string; readonly message: string },
): Promise<void> {
  const { run, item } = request;
  await openCircuitIfGone(storage, circuitOpenKey(run), failure);
  const key = failedItemKey(run, item.number);
  const before = await readFailures(storage, key);
  const unread = await unreadWorks(catalog, request, before);
  const added = unread.map((work) => ({ ...placeOf(work), ...failure, hint: "" }));
  await writeFailures(storage, key, [...before, ...added]);
}
