/**
 * Makes small backups without a Kafka: real segments, checkpoints, run documents and manifests,
 * written by the code that writes them for a cluster.
 */
import type { BackupPlan, PartitionWork } from "#core/backup/contract.ts";
import { finishBackup } from "#core/backup/finish.ts";
import type { Catalog, StoredManifest } from "#core/catalog/catalog.ts";
import {
  type ClusterTopic,
  type DroppedBatches,
  formatVersion,
  type Gap,
} from "#core/catalog/manifest.ts";
import { openObjectCatalog } from "#core/catalog/objects.ts";
import { BatchBuilder, type BatchFields } from "#core/kafka/batch-builder.ts";
import { lastOffsetOf, readBatchHeader } from "#core/kafka/record-batch.ts";
import { varintBytes, writeVarint } from "#core/kafka/varint.ts";
import { type Clock, silentLogger } from "#core/runtime.ts";
import type { FrameCodec } from "#core/segment/codecs.ts";
import { SegmentWriter } from "#core/segment/writer.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";

export interface SyntheticRecord {
  readonly timestamp?: bigint;
  readonly key?: string | null;
  readonly value?: string | null;
  readonly headers?: readonly (readonly [key: string, value: string | null])[];
}

/** A record batch as Kafka would store it; records get consecutive offsets from `baseOffset`. */
export function syntheticBatch(
  baseOffset: bigint,
  records: readonly SyntheticRecord[],
  fields: Partial<BatchFields> = {},
): Buffer {
  const builder = new BatchBuilder();
  for (const record of records) {
    const tail = recordTail(record);
    builder.append(record.timestamp ?? firstPlannedAt - 1000n, tail, 0, tail.length);
  }
  return builder.finish({ codec: "none", partitionLeaderEpoch: 0, baseOffset, ...fields });
}

/** Batches of `recordCount` records each, `batchCount` of them, end to end from `baseOffset`. */
export function syntheticBatches(
  baseOffset: bigint,
  batchCount: number,
  recordCount = 3,
  fields: Partial<BatchFields> = {},
): Buffer[] {
  return Array.from({ length: batchCount }, (_, batch) => {
    const first = baseOffset + BigInt(batch * recordCount);
    const records = Array.from({ length: recordCount }, (_, i) => ({
      key: `key-${first + BigInt(i)}`,
      value: `value of the record at offset ${first + BigInt(i)}`,
    }));
    return syntheticBatch(first, records, fields);
  });
}

function recordTail({ key, value, headers = [] }: SyntheticRecord): Buffer {
  const fields = [bytesField(key ?? null), bytesField(value ?? null), varint(headers.length)];
  for (const [name, content] of headers) fields.push(bytesField(name), bytesField(content));
  return Buffer.concat(fields);
}

function bytesField(text: string | null): Buffer {
  if (text === null) return varint(-1);
  const bytes = Buffer.from(text);
  return Buffer.concat([varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(varintBytes(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

export const syntheticBackupId = "synthetic";
export const syntheticClusterId = "MkU3OEVBNTcwNTJENDM2Qg";
/** When the first run of a backup is planned; each further run is an hour later. */
export const firstPlannedAt = 1_769_860_800_000n;
const hourMs = 3_600_000n;

export interface SyntheticPartition {
  readonly topic?: string;
  readonly partition?: number;
  readonly lineage?: number;
  readonly topicId?: string;
  /** The batches of each segment that this run adds. */
  readonly segments: readonly (readonly Buffer[])[];
  /** Where this run begins to read; the first batch's base offset unless said. */
  readonly startOffset?: bigint;
  /** Exclusive end at the plan; that of the last batch unless said. */
  readonly endOffset?: bigint;
  readonly gaps?: readonly Pick<Gap, "from_offset" | "to_offset">[];
  readonly dropped?: Partial<DroppedBatches>;
}

export interface SyntheticRun {
  readonly partitions: readonly SyntheticPartition[];
  readonly codec?: FrameCodec;
  /** Of every topic. */
  readonly topicConfig?: Readonly<Record<string, string>>;
  /** As a backup's request asks for later restores. */
  readonly includeOffsetHeaders?: boolean;
}

export interface SyntheticBackup {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly backupId: string;
  /** Stores and commits one more run. */
  addRun(run: SyntheticRun): Promise<StoredManifest>;
  /** Stores segments and checkpoints of a run and leaves it open, as a killed process would. */
  interruptRun(run: SyntheticRun): Promise<BackupPlan>;
}

/** An empty place for a backup, in memory unless `storage` is given. */
export function syntheticBackup(
  storage: StorageBackend = openMemory(),
  backupId: string = syntheticBackupId,
): SyntheticBackup {
  let ids = 0;
  let runs = 0n;
  const newId = () => (++ids).toString(16).padStart(16, "0");
  const clock: Clock = {
    nowMs: () => Number(firstPlannedAt + runs * hourMs),
    monotonicMs: systemClock.monotonicMs,
    sleep: systemClock.sleep,
  };
  const catalog = openObjectCatalog({ storage, clock, newId });
  const write = async (run: SyntheticRun): Promise<BackupPlan> => {
    const plan = await planOf(catalog, backupId, clock, newId(), run);
    await catalog.writeOpenRun(backupId, {
      run_id: plan.state_id,
      base_generation: plan.base.generation,
      started_at: plan.started_at,
    });
    for (const [i, partition] of run.partitions.entries()) {
      await writePartition({ storage, catalog, plan, newId }, plan.partitions[i]!, partition);
    }
    runs += 1n;
    return plan;
  };
  return {
    storage,
    catalog,
    clock,
    backupId,
    interruptRun: write,
    async addRun(run) {
      const plan = await write(run);
      const noCluster = undefined as never; // Committing does not ask Kafka anything.
      const deps = { storage, catalog, clock, newId, logger: silentLogger, cluster: noCluster };
      return (await finishBackup(deps, { plan, lease_token: 1 })).stored;
    },
  };
}

async function planOf(
  catalog: Catalog,
  backupId: string,
  clock: Clock,
  id: string,
  run: SyntheticRun,
): Promise<BackupPlan> {
  const base = await catalog.latestManifest(backupId);
  const plannedAt = BigInt(clock.nowMs());
  return {
    format_version: formatVersion,
    backup_id: backupId,
    run_id: `run-${id}`,
    state_id: `state-${id}`,
    started_at: plannedAt,
    planned_at: plannedAt,
    base: { generation: base?.manifest.generation ?? 0, sha256: base?.sha256 ?? null },
    cluster: {
      format_version: formatVersion,
      cluster_id: syntheticClusterId,
      read_at: plannedAt,
      topics: topicsOf(run),
      consumer_groups: {},
      unread_groups: [],
    },
    segments: {
      compression: run.codec ?? "zstd",
      recompress: "never",
      segment_max_bytes: 128 * 1024 * 1024,
      checkpoint_interval_ms: 5000,
    },
    include_offset_headers: run.includeOffsetHeaders,
    partitions: run.partitions.map(workOf),
    ranges: [],
    left_behind: [],
  };
}

function topicIdOf({ topic = "orders", topicId, lineage = 1 }: SyntheticPartition): string {
  return topicId ?? `id-of-${topic}-${lineage}`.padEnd(22, "_").slice(0, 22);
}

function topicsOf({ partitions, topicConfig = {} }: SyntheticRun): ClusterTopic[] {
  const byTopic = Map.groupBy(partitions, ({ topic = "orders" }) => topic);
  return [...byTopic].map(([name, ofTopic]) => ({
    name,
    topic_id: topicIdOf(ofTopic[0]!),
    partition_count: Math.max(...ofTopic.map(({ partition = 0 }) => partition)) + 1,
    replication_factor: 1,
    config: { ...topicConfig },
  }));
}

function workOf(partition: SyntheticPartition): PartitionWork {
  const batches = partition.segments.flat();
  const last = batches.at(-1);
  const startOffset = partition.startOffset ?? batches[0]?.readBigInt64BE(0) ?? 0n;
  return {
    topic: partition.topic ?? "orders",
    topic_id: topicIdOf(partition),
    partition: partition.partition ?? 0,
    lineage: partition.lineage ?? 1,
    start_offset: startOffset,
    end_offset:
      partition.endOffset ??
      (last === undefined ? startOffset : lastOffsetOf(readBatchHeader(last)) + 1n),
    leader_epoch: 0,
    last_leader_epoch: -1,
  };
}

interface WriteDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly plan: BackupPlan;
  readonly newId: () => string;
}

async function writePartition(
  { storage, catalog, plan, newId }: WriteDeps,
  work: PartitionWork,
  { segments, gaps = [], dropped = {} }: SyntheticPartition,
): Promise<void> {
  const { topic, partition } = work;
  const entries = [];
  for (const batches of segments) {
    const writer = await SegmentWriter.open(storage, {
      backupId: plan.backup_id,
      topic,
      partition,
      baseOffset: batches[0]!.readBigInt64BE(0),
      attempt: newId(),
      codec: plan.segments.compression,
      recompress: plan.segments.recompress,
    });
    for (const batch of batches) await writer.append(batch, readBatchHeader(batch));
    entries.push(await writer.finish());
  }
  const last = segments.flat().at(-1);
  const at = { backupId: plan.backup_id, runId: plan.state_id, topic, partition };
  await catalog.appendCheckpoint(at, {
    sequence: 0,
    written_at: plan.planned_at,
    lineage: work.lineage,
    topic_id: work.topic_id,
    start_offset: work.start_offset,
    next_offset: work.end_offset,
    last_leader_epoch: last === undefined ? -1 : readBatchHeader(last).partitionLeaderEpoch,
    segments: entries,
    gaps: gaps.map((gap) => ({
      ...gap,
      reason: "retention" as const,
      run_id: plan.run_id,
      detected_at: plan.planned_at,
    })),
    dropped: { aborted: 0, control: 0, empty: 0, ...dropped },
  });
}
