/**
 * Backups without segments for what has to do with consumer groups: runs that knew where groups
 * stood, and finished restores with their offset maps; written by the code that writes the real
 * ones.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import { type ClusterDocument, formatVersion, type LineageState } from "#core/catalog/manifest.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { noTotals } from "#core/catalog/totals.ts";
import { type OffsetSnapshot, offsetSnapshot } from "#core/offsets/contract.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { PartitionResult, TimeWindow } from "#core/restore/documents.ts";
import type { OffsetRun } from "#core/restore/offset-map.ts";
import { PartitionProgress } from "#core/restore/partition-progress.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { type Deadline, deadlineAt, silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { snapshotKey } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import {
  backupId,
  clusterId,
  lineageOf,
  manifestOf,
  plannedAt,
  topicId,
} from "#test/support/catalog-documents.ts";
import {
  intentOf,
  reportOf,
  targetClusterId,
  topicPlanOf,
} from "#test/support/restore-requests.ts";

export const hourMs = 3_600_000n;
export const noDeadline: Deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);

/** By group, then by `topic-partition`. */
export type Standing = Readonly<Record<string, Readonly<Record<string, bigint>>>>;

export interface KnownRun {
  readonly groups: Standing;
  /** Of `orders`; another one after it was created anew. */
  readonly topicId?: string;
  readonly unread?: readonly string[];
  readonly isComplete?: boolean;
}

export interface KnownBackup {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly deps: RestoreDeps;
}

/** The time of run number `run`, from 0: an hour apart. */
export function timeOfRun(run: number): bigint {
  return plannedAt + BigInt(run) * hourMs;
}

/** A backup of `orders` with one partition for each list of lineages, and these runs. */
export async function knownBackup(
  runs: readonly KnownRun[],
  partitions: readonly (readonly Partial<LineageState>[])[] = [[{}]],
): Promise<KnownBackup> {
  const storage = openMemory();
  const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
  const entries = [];
  for (const [number, run] of runs.entries()) {
    const run_id = `run-${number}`;
    const cluster = await catalog.writeClusterDocument(backupId, run_id, documentOf(run, number));
    const document = { format_version: formatVersion, backup_id: backupId, run_id } as const;
    const reference = await catalog.writeRunDocument({ ...document, cluster, lists: [] });
    const at = timeOfRun(number);
    entries.push({
      ...{ run_id, started_at: at, planned_at: at, finished_at: at, lease_token: number + 1 },
      ...{ run: reference, totals: noTotals },
    });
  }
  const topic = {
    name: "orders",
    partition_count: partitions.length,
    replication_factor: 1,
    config: {},
    partitions: partitions.map((lineages, partition) => ({
      partition,
      lineages: lineages.map((one, i) => lineageOf({ lineage: i + 1, ...one })),
    })),
  };
  await catalog.commitManifest(manifestOf({ topics: [topic], runs: entries }));
  const cluster = undefined as never; // What is written here asks no cluster.
  const rest = { clock: systemClock, logger: silentLogger, newId: randomId, cluster };
  return { storage, catalog, deps: { storage, catalog, ...rest } };
}

function documentOf(run: KnownRun, number: number): ClusterDocument {
  return {
    format_version: formatVersion,
    cluster_id: clusterId,
    read_at: timeOfRun(number),
    topics: [
      {
        name: "orders",
        topic_id: run.topicId ?? topicId,
        partition_count: 1,
        replication_factor: 1,
        config: {},
      },
    ],
    consumer_groups: standingOf(run.groups),
    unread_groups: (run.unread ?? []).map((group) => ({ group, reason: "GROUP_AUTHORIZATION" })),
    groups_complete: run.isComplete ?? true,
  };
}

function standingOf(groups: Standing): ClusterDocument["consumer_groups"] {
  const entries = Object.entries(groups).map(([group, offsets]) => {
    const partitions = Object.entries(offsets).map(
      ([name, offset]) => [name, { offset, metadata: `of ${group}` }] as const,
    );
    return [group, { partitions: Object.fromEntries(partitions) }] as const;
  });
  return Object.fromEntries(entries);
}

/** A snapshot of the backup's cluster. */
export async function storeSnapshot(
  { storage }: KnownBackup,
  snapshot_id: string,
  groups: Standing,
  fields: Partial<OffsetSnapshot> = {},
): Promise<void> {
  const snapshot: OffsetSnapshot = {
    snapshot_id,
    description: "",
    created_at: new Date(Number(plannedAt)).toISOString(),
    consumer_groups: standingOf(groups),
    format_version: formatVersion,
    cluster_id: clusterId,
    all_groups: false,
    groups_complete: true,
    topics: { orders: { topic_id: topicId } },
    unread_groups: [],
    ...fields,
  };
  const body = Buffer.from(
    JSON.stringify(snapshot, (_, value) => (typeof value === "bigint" ? String(value) : value)),
  );
  offsetSnapshot.parse(JSON.parse(body.toString()));
  await storage.put(snapshotKey(snapshot_id), body);
}

export interface KnownRestore {
  readonly restoreId?: string;
  readonly targetTopic?: string;
  readonly targetTopicId?: string;
  readonly targetClusterId?: string;
  readonly window?: TimeWindow;
  readonly partitions: readonly {
    readonly source?: number;
    readonly target?: number;
    readonly lineage?: number;
    readonly startOffset?: bigint;
    readonly sourceEndOffset?: bigint;
    /** The runs of each part of the map, a checkpoint after each. */
    readonly map: readonly (readonly OffsetRun[])[];
  }[];
  readonly finishedAt?: bigint;
  /** Leaves it without a report: with the topic made ready, or before that. */
  readonly isUnfinished?: boolean;
  readonly isNotReady?: boolean;
}

/** Stores what a restore of `orders` leaves behind; the newest has the greatest id. */
export async function storeRestore(
  { deps }: KnownBackup,
  restore: KnownRestore,
): Promise<{ restoreId: string; results: PartitionResult[] }> {
  const { restoreId = "20260131T120000Z-00000001", targetTopic = "restored" } = restore;
  const stored = (await deps.catalog.latestManifest(backupId))!;
  const manifest = { generation: stored.manifest.generation, sha256: stored.sha256 };
  const results: PartitionResult[] = [];
  for (const partition of restore.partitions) {
    results.push(await storePartition(deps, restoreId, targetTopic, manifest, partition));
  }
  const intent = intentOf({
    ...{ backup_id: backupId, restore_id: restoreId, manifest },
    ...{ window: restore.window ?? {}, topics: [topicPlanOf({ target_topic: targetTopic })] },
    target_cluster_id: restore.targetClusterId ?? targetClusterId,
  });
  const record = new RestoreRecord(deps.storage, backupId, restoreId);
  await record.writeIntent(intent);
  if (restore.isNotReady) return { restoreId, results };
  const { targetTopicId: topic_id = "id-of-the-target-topic" } = restore;
  await record.writeTarget({ topic: targetTopic, topic_id, created: true, settings_before: {} });
  if (restore.isUnfinished) return { restoreId, results };
  const topic = {
    ...{ source_topic: "orders", target_topic: targetTopic, created: true, record_count: 0n },
    target_topic_id: topic_id,
    sent: { bytes: 0, raw: 0, encoded: 0 },
    partitions: results,
  };
  const { finishedAt: finished_at = plannedAt } = restore;
  await record.writeReport({ ...reportOf(intent), finished_at, topics: [topic] });
  return { restoreId, results };
}

async function storePartition(
  deps: RestoreDeps,
  restore_id: string,
  target_topic: string,
  manifest: { generation: number; sha256: string },
  partition: KnownRestore["partitions"][number],
): Promise<PartitionResult> {
  const { source = 0, target = source, lineage = 1, startOffset = 0n, map } = partition;
  const progress = new PartitionProgress(deps, {
    ...{ backup_id: backupId, restore_id, manifest, window: {} },
    ...{ source_topic: "orders", source_partition: source, lineage },
    ...{ target_topic, target_partition: target, target_topic_id: "-" },
    ...{ max_message_bytes: 1_000_000, checkpoint_interval_ms: 1 },
  });
  let restored = await progress.restored(0n);
  for (const runs of map) {
    const last = runs.at(-1)!;
    const count = runs.reduce((sum, run) => sum + run.count, 0n);
    const now = {
      recordCount: restored.recordCount + count,
      nextOffset: last.sourceOffset + last.count,
      sent: restored.sent,
    };
    restored = await progress.checkpoint(restored, now, runs);
  }
  const result: PartitionResult = {
    ...{ source_topic: "orders", source_partition: source, lineage },
    ...{ target_topic, target_partition: target, start_offset: startOffset },
    end_offset: startOffset + restored.recordCount,
    record_count: restored.recordCount,
    sent: restored.sent,
    source_end_offset: partition.sourceEndOffset ?? restored.nextOffset,
  };
  await progress.writeResult(result);
  return result;
}

/** `count` records from `source` on, which are in the target from `target` on. */
export function run(source: number, target: number, count: number): OffsetRun {
  return { sourceOffset: BigInt(source), targetOffset: BigInt(target), count: BigInt(count) };
}
