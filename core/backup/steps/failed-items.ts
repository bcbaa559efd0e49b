/** The partitions that failed in work items: told in the bucket, for the end of the run to judge. */
import {
  type CatalogDeps,
  failedPartitions,
  type WorkItemRequest,
} from "#core/backup/steps/contract.ts";
import { unreadPartitions } from "#core/backup/steps/unread.ts";
import { documentBytes, parseState, readIfPresent } from "#core/catalog/documents.ts";
import type { FailedPartition } from "#core/partition-failure.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { failedItemKey, failedItemsFolder, type WorkOfRun } from "#core/storage/work-keys.ts";

/** Replaces what was written before for this item. */
export async function writeFailures(
  storage: StorageBackend,
  run: WorkOfRun,
  item: number,
  failed: readonly FailedPartition[],
): Promise<void> {
  await storage.put(failedItemKey(run, item), documentBytes(failed));
}

export async function failuresOf(
  storage: StorageBackend,
  run: WorkOfRun,
  item: number,
): Promise<FailedPartition[]> {
  const key = failedItemKey(run, item);
  const body = await readIfPresent(storage, key);
  return body === undefined ? [] : parseState(key, body, failedPartitions);
}

/** Of all items, in their order. */
export async function allFailures(
  storage: StorageBackend,
  run: WorkOfRun,
): Promise<FailedPartition[]> {
  const all: FailedPartition[] = [];
  for await (const { key } of storage.list(failedItemsFolder(run))) {
    all.push(...parseState(key, await storage.get(key), failedPartitions));
  }
  return all;
}

/**
 * A worker that failed as a whole, after all its repetitions: each partition of its item that was
 * neither read to its end nor had failed by itself has failed by this error.
 */
export async function recordFailedItem(
  { storage, catalog }: CatalogDeps,
  request: WorkItemRequest,
  failure: { readonly error: string; readonly message: string },
): Promise<void> {
  const { run, item } = request;
  const before = await failuresOf(storage, run, item.number);
  const unread = await unreadPartitions(catalog, request, before);
  const added = unread.map(({ topic, partition }) => ({ topic, partition, ...failure, hint: "" }));
  await writeFailures(storage, run, item.number, [...before, ...added]);
}
