import pLimit from "p-limit";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import type { CatalogDeps, RestoreItemRequest } from "#core/restore/steps/contract.ts";
import { circuitOpenRestoreKey, failedRestoreItemKey } from "#core/storage/restore-work-keys.ts";
import { openCircuitIfGone } from "#core/work-items/circuit.ts";
import { readFailures, writeFailures } from "#core/work-items/failures.ts";

/** Partitions that are looked at at the same time. */
const concurrentLooks = 16;

/**
 * A worker that failed as a whole, after all its repetitions: each partition of its item that was
 * neither verified nor had failed by itself has failed by this error. Where it tells that brokers or
 * storage are gone, no other worker of the run tries again.
 */
export async function recordFailedRestoreItem(
  { storage }: CatalogDeps,
  { run, item }: RestoreItemRequest,
  failure: { readonly error: string; readonly message: string },
): Promise<void> {
  await openCircuitIfGone(storage, circuitOpenRestoreKey(run), failure);
  const key = failedRestoreItemKey(run, item.number);
  const before = await readFailures(storage, key);
  const known = new Set(before.map(({ topic, partition }) => `${topic}/${partition}`));
  const record = new RestoreRecord(storage, run.backup_id, run.restore_id);
  const added = await pLimit(concurrentLooks).map(item.partitions, async (work) => {
    const at = { topic: work.target_topic, partition: work.target_partition };
    const isKnown = known.has(`${at.topic}/${at.partition}`);
    if (isKnown || (await record.verified(at)) !== undefined) return [];
    return [{ ...at, ...failure, hint: "" }];
  });
  await writeFailures(storage, key, [...before, ...added.flat()]);
}
