/** The step that makes the target's topics ready, and writes the work items. */
import pLimit from "p-limit";
import type { Manifest } from "#core/catalog/manifest.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import { toJson } from "#core/json.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import { knownRestore } from "#core/restore/identity.ts";
import { partitionWorks, type RestoreWork } from "#core/restore/partition-runs.ts";
import type { RestoreRecord } from "#core/restore/restore-record.ts";
import {
  leaseScopeOf,
  type PreparedTopics,
  type RestoreItem,
  type RestoreRun,
} from "#core/restore/steps/contract.ts";
import { knownTarget, prepareTopics } from "#core/restore/topics.ts";
import type { Deadline } from "#core/runtime.ts";
import { restoreItemsKey } from "#core/storage/restore-work-keys.ts";
import { packByCost } from "#core/work-items/pack.ts";
import { Turn } from "#core/work-items/turn.ts";

/** Documents that are read at the same time. */
const concurrentReads = 16;

/** Bytes of a partition's JSON without its topics' names. */
const workBytesMax = 240;
/**
 * What a partition costs however few records it holds, in records: some 15 requests for its
 * producer, start, checkpoint, result and verification, 0.4 s at 125,000 records a second.
 */
const partitionCost = 50_000n;
/** 5 partitions of nothing, 2 s. */
const itemCostMin = 5n * partitionCost;

/**
 * One turn: goes on with topic number `next_topic` of the intent until `deadline` comes or the
 * turn is over. Items are packed for up to `workers` processes. Done again it changes nothing.
 * Throws what `prepareTopics` throws, and BackupConflictError when the lease is lost.
 */
export async function prepareRestore(
  deps: RestoreDeps,
  { run, next_topic }: { readonly run: RestoreRun; readonly next_topic: number },
  workers: number,
  turnMs: number,
  deadline: Deadline,
): Promise<PreparedTopics> {
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, async (deadline) => {
    const turn = new Turn(deps.clock, turnMs, deadline);
    turn.hasMoved(); // It will: the first few topics are always done.
    const { record, intent } = await knownRestore(deps.storage, run.backup_id, run.restore_id);
    const prepared = await prepareTopics(deps, record, intent.topics.slice(next_topic), turn);
    const next = next_topic + prepared.length;
    deadline.signal.throwIfAborted();
    if (turn.passed() && prepared.length > 0) return toBeContinued(next);
    const works = await allWorks(record, intent);
    const { manifest } = await deps.catalog.readManifest(run.backup_id, run.manifest.generation);
    const items = packRestoreItems(works, recordCounts(manifest), workers);
    const key = restoreItemsKey(run);
    await deps.storage.put(key, Buffer.from(toJson(items)));
    deadline.signal.throwIfAborted();
    const prepared_at = BigInt(deps.clock.nowMs());
    return { status: "done", next_topic: next, items: { key, count: items.length }, prepared_at };
  });
}

function toBeContinued(next_topic: number): PreparedTopics {
  return { status: "continue", next_topic, items: { key: "", count: 0 }, prepared_at: 0n };
}

async function allWorks(record: RestoreRecord, { topics }: RestoreIntent): Promise<RestoreWork[]> {
  const works = await pLimit(concurrentReads).map(topics, async (plan) =>
    partitionWorks(plan, await knownTarget(record, plan)),
  );
  return works.flat();
}

/** Of a lineage, by its topic, partition and number; a window leaves some of them out. */
type RecordCounts = ReadonlyMap<string, number>;

function recordCounts({ topics }: Manifest): RecordCounts {
  const counts = new Map<string, number>();
  for (const { name, partitions } of topics) {
    for (const { partition, lineages } of partitions) {
      for (const { lineage, totals } of lineages) {
        counts.set(`${name}/${partition}/${lineage}`, totals.record_count);
      }
    }
  }
  return counts;
}

/** Work items for up to `workers` at a time, those that take longest first. */
export function packRestoreItems(
  works: readonly RestoreWork[],
  records: RecordCounts,
  workers: number,
): RestoreItem[] {
  const pieces = works.map((work) => {
    const { source_topic, source_partition, lineage, target_topic } = work;
    const count = records.get(`${source_topic}/${source_partition}/${lineage}`) ?? 0;
    const bytes = source_topic.length + target_topic.length + workBytesMax;
    return { work, cost: partitionCost + BigInt(count), bytes };
  });
  const hint = "Give topics.include fewer topics, and restore the others by another execution.";
  const items = packByCost(pieces, { workers, itemCostMin, hint });
  return items.map((partitions, number) => ({ number, partitions }));
}
