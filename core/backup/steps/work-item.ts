/** The worker's step: one turn at the partitions of one work item. */
import type { BackupDeps, PartitionWork } from "#core/backup/contract.ts";
import { backupPartition } from "#core/backup/partition.ts";
import { placeOf } from "#core/backup/ranges.ts";
import {
  leaseScopeOf,
  type WorkItemOutcome,
  type WorkItemRequest,
} from "#core/backup/steps/contract.ts";
import { unreadWorks } from "#core/backup/steps/unread.ts";
import { byteRateOf } from "#core/byte-rate.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster, FetchedPartition, FetchRequest } from "#core/kafka/cluster.ts";
import type { Deadline } from "#core/runtime.ts";
import { failedItemKey } from "#core/storage/work-keys.ts";
import { readFailures, writeFailures } from "#core/work-items/failures.ts";
import { Turn, workThrough } from "#core/work-items/turn.ts";

/**
 * Reads on in the item's partitions until all are read or have failed, or `deadline` comes, or
 * the turn is over, `turnMs` after reading began. A partition that fails is written down and not
 * tried again; the others go on (K7). Throws BackupConflictError when the lease is lost,
 * CircuitOpenError when the deadline's signal aborted with it, and what the storage throws.
 */
export async function backupWorkItem(
  deps: BackupDeps,
  request: WorkItemRequest,
  turnMs: number,
  deadline: Deadline,
): Promise<WorkItemOutcome> {
  const { run } = request;
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, async (deadline) => {
    const outcome = await oneTurn(deps, request, turnMs, deadline);
    if (deadline.signal.reason instanceof BackupError) throw deadline.signal.reason;
    return outcome;
  });
}

async function oneTurn(
  deps: BackupDeps,
  request: WorkItemRequest,
  turnMs: number,
  deadline: Deadline,
): Promise<WorkItemOutcome> {
  const { run, item } = request;
  const key = failedItemKey(run, item.number);
  const before = await readFailures(deps.storage, key);
  const pending = await unreadWorks(deps.catalog, request, before);
  const moved = { records: 0, bytes: 0 };
  const turn = new Turn(deps.clock, turnMs, deadline);
  const watched: BackupDeps = {
    ...deps,
    byteRate: byteRateOf(deps.clock, run.max_bytes_per_second),
    cluster: { ...deps.cluster, fetch: (request) => fetchIn(turn, deps.cluster, request) },
    onProgress(event) {
      if (event.kind === "advanced") {
        moved.records += event.records;
        moved.bytes += event.bytes;
      }
      deps.onProgress?.(event);
    },
  };
  const { backup_id, run_id, state_id, segments, max_concurrent_partitions } = run;
  const backup = async (work: PartitionWork) => {
    const ofPartition = { backup_id, run_id, state_id, segments, work };
    return (await backupPartition(watched, ofPartition, turn)).status;
  };
  const ended = await workThrough(pending, max_concurrent_partitions, turn, placeOf, backup);
  const { left, failed } = ended;
  if (failed.length > 0 && !deadline.signal.aborted) {
    await writeFailures(deps.storage, key, [...before, ...failed]);
  }
  return { status: left > 0 ? "continue" : "done", ...moved, partitions_left: left };
}

async function fetchIn(
  turn: Turn,
  cluster: Cluster,
  request: FetchRequest,
): Promise<FetchedPartition> {
  const fetched = await cluster.fetch(request);
  if (fetched.records.length > 0) turn.hasMoved();
  return fetched;
}
