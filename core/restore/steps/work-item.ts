/** The worker's steps: one turn at the partitions of one work item. */
import { byteRateOf } from "#core/byte-rate.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { restorePartition } from "#core/restore/partition.ts";
import { partitionRequest, type RestoreWork, verifyOnce } from "#core/restore/partition-runs.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import {
  type ItemCursor,
  leaseScopeOf,
  type RestoreItemOutcome,
  type RestoreItemRequest,
  type VerifyItemOutcome,
  type VerifyItemRequest,
} from "#core/restore/steps/contract.ts";
import type { Deadline } from "#core/runtime.ts";
import { failedRestoreItemKey } from "#core/storage/restore-work-keys.ts";
import { readFailures, writeFailures } from "#core/work-items/failures.ts";
import { Turn, workThrough } from "#core/work-items/turn.ts";

type Work = (
  deps: RestoreDeps,
  work: RestoreWork,
  turn: Turn,
  place: number,
) => Promise<"done" | "continue">;

/**
 * Restores on in the item's partitions until all are in the target or have failed, or `deadline`
 * comes, or the turn is over, `turnMs` after it began. A partition that fails is written down and
 * not tried again; the others go on (K7). Throws BackupConflictError when the lease is lost,
 * CircuitOpenError when the deadline's signal aborted with it, and what the storage throws.
 */
export function restoreWorkItem(
  deps: RestoreDeps,
  request: RestoreItemRequest,
  turnMs: number,
  deadline: Deadline,
): Promise<RestoreItemOutcome> {
  return oneTurn(deps, request, turnMs, deadline, async (deps, work, turn) => {
    return (await restorePartition(deps, partitionRequest(request.run, work), turn)).status;
  });
}

/** The same for comparing what is in the target with the backup, from the cursors on. */
export async function verifyWorkItem(
  deps: RestoreDeps,
  { cursors: before, ...request }: VerifyItemRequest,
  turnMs: number,
  deadline: Deadline,
): Promise<VerifyItemOutcome> {
  const { run } = request;
  const record = new RestoreRecord(deps.storage, run.backup_id, run.restore_id);
  const cursors = new Map(before.map((cursor) => [cursor.place, cursor]));
  const verify: Work = async (deps, work, turn, place) => {
    const ofPartition = partitionRequest(run, work);
    const outcome = await verifyOnce(deps, record, ofPartition, cursors.get(place), turn);
    if (outcome.status === "verified") cursors.delete(place);
    else cursors.set(place, cursorOf(outcome, place));
    return outcome.status === "verified" ? "done" : "continue";
  };
  const ended = await oneTurn(deps, request, turnMs, deadline, verify);
  return { ...ended, cursors: [...cursors.values()] };
}

function cursorOf(
  { record_count, next_offset }: Omit<ItemCursor, "place">,
  place: number,
): ItemCursor {
  return { place, record_count, next_offset };
}

async function oneTurn(
  deps: RestoreDeps,
  { run, item }: RestoreItemRequest,
  turnMs: number,
  deadline: Deadline,
  work: Work,
): Promise<RestoreItemOutcome> {
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, (deadline) =>
    workOn(deps, { run, item }, turnMs, deadline, work),
  );
}

async function workOn(
  deps: RestoreDeps,
  { run, item }: RestoreItemRequest,
  turnMs: number,
  deadline: Deadline,
  work: Work,
): Promise<RestoreItemOutcome> {
  const key = failedRestoreItemKey(run, item.number);
  const before = await readFailures(deps.storage, key);
  const hasFailed = new Set(before.map(({ topic, partition }) => `${topic}/${partition}`));
  const pending = item.partitions
    .map((work, place) => ({ work, place, ...targetOf(work) }))
    .filter(({ topic, partition }) => !hasFailed.has(`${topic}/${partition}`));
  const turn = new Turn(deps.clock, turnMs, deadline);
  const { watched, moved } = watching(deps, turn, run.max_bytes_per_second);
  const concurrent = run.max_concurrent_partitions;
  const at = ({ topic, partition }: (typeof pending)[number]) => ({ topic, partition });
  const { left, failed } = await workThrough(pending, concurrent, turn, at, (one) =>
    work(watched, one.work, turn, one.place),
  );
  if (deadline.signal.reason instanceof BackupError) throw deadline.signal.reason;
  if (failed.length > 0 && !deadline.signal.aborted) {
    await writeFailures(deps.storage, key, [...before, ...failed]);
  }
  return { status: left > 0 ? "continue" : "done", ...moved, partitions_left: left };
}

function targetOf({ target_topic, target_partition }: RestoreWork) {
  return { topic: target_topic, partition: target_partition };
}

/** Counts what moves, and lets the turn end once something has. */
function watching(deps: RestoreDeps, turn: Turn, maxBytesPerSecond: number | undefined) {
  const moved = { records: 0, bytes: 0 };
  const { cluster } = deps;
  const watched: RestoreDeps = {
    ...deps,
    byteRate: byteRateOf(deps.clock, maxBytesPerSecond),
    cluster: {
      ...cluster,
      async produce(request) {
        const answer = await cluster.produce(request);
        turn.hasMoved();
        return answer;
      },
      async fetch(request) {
        const fetched = await cluster.fetch(request);
        if (fetched.records.length > 0) turn.hasMoved();
        return fetched;
      },
    },
    onProgress(event) {
      if (event.kind === "advanced") {
        moved.records += event.records;
        moved.bytes += event.bytes;
      }
      deps.onProgress?.(event);
    },
  };
  return { watched, moved };
}
