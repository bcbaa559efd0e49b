/** The worker's step: one turn at the partitions of one work item. */
import pLimit from "p-limit";
import type { BackupDeps, PartitionWork } from "#core/backup/contract.ts";
import { backupPartition } from "#core/backup/partition.ts";
import {
  leaseScopeOf,
  type WorkItemOutcome,
  type WorkItemRequest,
} from "#core/backup/steps/contract.ts";
import { failuresOf, writeFailures } from "#core/backup/steps/failed-items.ts";
import { unreadPartitions } from "#core/backup/steps/unread.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster, FetchedPartition, FetchRequest } from "#core/kafka/cluster.ts";
import { type FailedPartition, failedPartition } from "#core/partition-failure.ts";
import type { Clock, Deadline } from "#core/runtime.ts";

/**
 * Reads on in the item's partitions until all are read or have failed, or `deadline` comes, or
 * the turn is over, `turnMs` after reading began. A partition that fails is written down and not
 * tried again; the others go on (K7). Throws BackupConflictError when the lease is lost, and what
 * the storage throws.
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
  const failed = await failuresOf(deps.storage, run, item.number);
  const pending = await unreadPartitions(deps.catalog, request, failed);
  const moved = { records: 0, bytes: 0 };
  const turn = new Turn(deps, turnMs, deadline);
  const watched: BackupDeps = {
    ...deps,
    cluster: { ...deps.cluster, fetch: (request) => turn.fetch(deps.cluster, request) },
    onProgress(event) {
      if (event.kind === "advanced") {
        moved.records += event.records;
        moved.bytes += event.bytes;
      }
      deps.onProgress?.(event);
    },
  };
  const failures: FailedPartition[] = [];
  let left = 0;
  const backup = async (work: PartitionWork) => {
    if (turn.passed()) {
      left += 1;
      return;
    }
    const { backup_id, run_id, state_id, segments } = run;
    const ofPartition = { backup_id, run_id, state_id, segments, work };
    try {
      const { status } = await backupPartition(watched, ofPartition, turn);
      if (status === "continue") left += 1;
    } catch (cause) {
      // Another worker is on it, one that was given up too early: the next turn sees how far it came.
      if (isBackupError(cause, "BackupConflictError")) left += 1;
      else failures.push(failedPartition({ topic: work.topic, partition: work.partition, cause }));
    }
  };
  await pLimit(run.max_concurrent_partitions).map(pending, backup);
  if (failures.length > 0 && !deadline.signal.aborted) {
    await writeFailures(deps.storage, run, item.number, [...failed, ...failures]);
  }
  return { status: left > 0 ? "continue" : "done", ...moved, partitions_left: left };
}

/**
 * Ends `turnMs` after it began, but not before its first records have come: else turns that are
 * too short to open a partition would follow one another for ever.
 */
class Turn implements Deadline {
  readonly signal: AbortSignal;
  readonly #clock: Clock;
  readonly #deadline: Deadline;
  readonly #endsAtMs: number;
  #hasRecords = false;

  constructor({ clock }: BackupDeps, turnMs: number, deadline: Deadline) {
    this.signal = deadline.signal;
    this.#clock = clock;
    this.#deadline = deadline;
    this.#endsAtMs = clock.monotonicMs() + turnMs;
  }

  async fetch(cluster: Cluster, request: FetchRequest): Promise<FetchedPartition> {
    const fetched = await cluster.fetch(request);
    if (fetched.records.length > 0) this.#hasRecords = true;
    return fetched;
  }

  passed(): boolean {
    return this.#deadline.passed() || this.remainingMs() <= 0;
  }

  remainingMs(): number {
    const remainingMs = this.#deadline.remainingMs();
    if (!this.#hasRecords) return remainingMs;
    return Math.min(remainingMs, this.#endsAtMs - this.#clock.monotonicMs());
  }
}
