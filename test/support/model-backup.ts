/** Backups of a `LogModel`, step by step, as several processes do them. */
import type { BackupDeps, BackupPlan, PartitionWork } from "#core/backup/contract.ts";
import { finishBackup } from "#core/backup/finish.ts";
import { backupPartition } from "#core/backup/partition.ts";
import { planBackup } from "#core/backup/plan.ts";
import { worksOf } from "#core/backup/ranges.ts";
import type { SplitOptions } from "#core/backup/split-ranges.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import { silentLogger } from "#core/runtime.ts";
import { forEachBatch, readFrames, readIndex } from "#core/segment/reader.ts";
import { inBackup, indexKeyOf } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId } from "#core/system.ts";
import { noDeadline, segmentSettings } from "#test/support/engine.ts";
import { skippingClock } from "#test/support/fake-clock.ts";
import { type LogModel, modelTopic } from "#test/support/log-model.ts";

const backupId = "model";

export interface ModelBackup {
  readonly deps: BackupDeps;
  readonly segmentBytes: number;
}

/** Fetches bring up to `fetchBytes`, segments are closed at `segmentBytes`. */
export function modelBackup(
  log: LogModel,
  { fetchBytes, segmentBytes }: { fetchBytes: number; segmentBytes: number },
): ModelBackup {
  const clock = skippingClock();
  const storage = openMemory();
  const catalog = openCatalog({ storage, clock, newId: randomId });
  const cluster = log.cluster(clock, fetchBytes);
  const deps = { storage, catalog, cluster, clock, logger: silentLogger, newId: randomId };
  return { deps, segmentBytes };
}

export async function planned(
  { deps, segmentBytes }: ModelBackup,
  split?: SplitOptions,
): Promise<BackupPlan> {
  const request = {
    backup_id: backupId,
    topics: { include: [modelTopic], exclude: [] },
    segments: { ...segmentSettings, segment_max_bytes: segmentBytes },
    max_concurrent_partitions: 4,
  };
  return (await planBackup(deps, request, split)).plan;
}

/** What is to be read of the plan, a worker's turn each. */
export function pendingOf(plan: BackupPlan): PartitionWork[] {
  return worksOf(plan).filter((work) => work.start_offset < work.end_offset);
}

/** A worker's turn that ends with so many answered fetches. */
export async function turn(
  { deps }: ModelBackup,
  plan: BackupPlan,
  work: PartitionWork,
  fetches = Number.POSITIVE_INFINITY,
): Promise<"done" | "continue"> {
  let left = fetches;
  const { cluster } = deps;
  const counted: typeof cluster = {
    ...cluster,
    fetch: async (request) => {
      const fetched = await cluster.fetch(request);
      left -= 1;
      return fetched;
    },
  };
  const { backup_id, run_id, state_id, segments } = plan;
  const request = { backup_id, run_id, state_id, segments, work };
  const deadline = { ...noDeadline, passed: () => left <= 0 };
  return (await backupPartition({ ...deps, cluster: counted }, request, deadline)).status;
}

export async function readAll(backup: ModelBackup, plan: BackupPlan): Promise<void> {
  for (const work of pendingOf(plan)) await turn(backup, plan, work);
}

export async function commit({ deps }: ModelBackup, plan: BackupPlan) {
  return (await finishBackup(deps, { plan, lease_token: 1 })).stored.manifest;
}

/** A whole run of one worker that reads the partition as one. */
export async function wholeRun(backup: ModelBackup): Promise<void> {
  const plan = await planned(backup);
  await readAll(backup, plan);
  await commit(backup, plan);
}

export interface ArchivedBatch {
  readonly base: bigint;
  readonly epoch: number;
  readonly bytes: Buffer;
}

/** In the order in which they are archived, of one lineage of the newest manifest. */
export async function archivedBatches(
  { deps: { storage, catalog } }: ModelBackup,
  lineage: number,
): Promise<ArchivedBatch[]> {
  const { manifest } = (await catalog.latestManifest(backupId))!;
  const found: ArchivedBatch[] = [];
  for await (const { segment } of segmentsOf(catalog, manifest, { topic: modelTopic, lineage })) {
    const index = await readIndex(storage, inBackup(backupId, indexKeyOf(segment.key)), segment);
    const key = inBackup(backupId, segment.key);
    for await (const { batches } of readFrames(storage, key, index, () => true)) {
      forEachBatch(batches, ({ baseOffset, partitionLeaderEpoch, sizeInBytes }, position) => {
        const bytes = batches.subarray(position, position + sizeInBytes);
        found.push({ base: baseOffset, epoch: partitionLeaderEpoch, bytes });
      });
    }
  }
  return found;
}

/** Of the model's only partition. */
export async function lineagesIn({ deps }: ModelBackup) {
  const stored = await deps.catalog.latestManifest(backupId);
  return stored?.manifest.topics[0]?.partitions[0]?.lineages ?? [];
}

export const modelBackupId = backupId;
