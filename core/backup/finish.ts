/**
 * The last step of a backup: the documents of the run are written from its checkpoints, and the
 * manifest that names them is created, which commits the run (C1).
 */
import pLimit from "p-limit";
import type { BackupDeps, BackupPlan, GapOfPartition } from "#core/backup/contract.ts";
import { gapsAdded } from "#core/backup/gaps-added.ts";
import { type LineageParts, withRun } from "#core/backup/lineage-state.ts";
import { archivedLineages } from "#core/backup/ranges.ts";
import type { StoredManifest } from "#core/catalog/catalog.ts";
import {
  type ClusterTopic,
  formatVersion,
  type LineageState,
  type Manifest,
  type RunEntry,
  type RunList,
  type TopicState,
} from "#core/catalog/manifest.ts";
import { sumOfTotals } from "#core/catalog/totals.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import { softwareName } from "#core/software.ts";

/** Checkpoints of this many partitions are read at once. */
const concurrentReads = 16;

export interface FinishBackupRequest {
  readonly plan: BackupPlan;
  readonly lease_token: number;
}

export type FinishDeps = Pick<BackupDeps, "catalog" | "clock">;

export interface FinishedBackup {
  readonly stored: StoredManifest;
  readonly entry: RunEntry;
  /** That the run found. */
  readonly gaps: readonly GapOfPartition[];
}

/** What one partition added in this run, by lineage in order. */
interface PartitionParts {
  readonly topic: string;
  readonly partition: number;
  readonly lineages: readonly LineageParts[];
}

/**
 * Commits what is checkpointed, and closes the run. Idempotent while the plan is the same. Throws
 * BackupConflictError when another run committed in between.
 */
export async function finishBackup(
  deps: FinishDeps,
  request: FinishBackupRequest,
): Promise<FinishedBackup> {
  const { catalog } = deps;
  const { plan } = request;
  const base = await baseManifest(deps, plan);
  const committed = await committedRun(deps, plan);
  if (committed !== undefined) {
    return { ...committed, gaps: gapsAdded(base, committed.stored.manifest) };
  }
  const parts = await readParts(deps, plan);
  const entry = await writeRun(deps, request, parts);
  const manifest: Manifest = {
    format_version: formatVersion,
    backup_id: plan.backup_id,
    generation: plan.base.generation + 1,
    created_at: entry.finished_at,
    created_by: softwareName,
    cluster_id: plan.cluster.cluster_id,
    previous_sha256: plan.base.sha256,
    ...restoreDefaults(plan),
    topics: topicStates(base?.topics ?? [], plan, parts),
    run_pages: base?.run_pages ?? [],
    runs: [...(base?.runs ?? []), entry],
  };
  try {
    const stored = await catalog.commitManifest(manifest);
    await catalog.closeRun(plan.backup_id, plan.state_id);
    return { stored, entry, gaps: gapsAdded(base, stored.manifest) };
  } catch (error) {
    throw await toldAsCommitted(deps, plan, error);
  }
}

/** What failed behind the commit is told as that, for then the backup is there, and whole. */
async function toldAsCommitted(
  { catalog }: FinishDeps,
  { backup_id, run_id }: BackupPlan,
  error: unknown,
): Promise<unknown> {
  const newest = await catalog.latestManifest(backup_id).catch(() => undefined);
  if (!isBackupError(error) || newest?.manifest.runs.at(-1)?.run_id !== run_id) return error;
  const { generation } = newest.manifest;
  return new BackupError(
    error.name,
    `generation ${generation} of backup "${backup_id}" is committed and whole, but what the run ` +
      `leaves behind could not be tidied up: ${error.message}`,
    { cause: error, hint: "Nothing is missing. The next run of this backup id tidies up." },
  );
}

/** A manifest says only what is not so anyway. */
function restoreDefaults({ include_offset_headers }: BackupPlan): Partial<Manifest> {
  return include_offset_headers === true ? { restore_defaults: { include_offset_headers } } : {};
}

/** A run whose commit is the newest: the answer of an earlier call may have been lost. */
export async function committedRun(
  { catalog }: FinishDeps,
  run: Pick<BackupPlan, "backup_id" | "run_id" | "state_id">,
): Promise<Omit<FinishedBackup, "gaps"> | undefined> {
  const stored = await catalog.latestManifest(run.backup_id);
  const entry = stored?.manifest.runs.at(-1);
  if (stored === undefined || entry?.run_id !== run.run_id) return undefined;
  await catalog.closeRun(run.backup_id, run.state_id);
  return { stored, entry };
}

async function baseManifest(deps: FinishDeps, plan: BackupPlan): Promise<Manifest | undefined> {
  if (plan.base.generation === 0) return undefined;
  const { manifest, sha256 } = await deps.catalog.readManifest(
    plan.backup_id,
    plan.base.generation,
  );
  if (sha256 === plan.base.sha256) return manifest;
  throw new BackupError(
    "CorruptManifestError",
    `manifest ${plan.base.generation} of backup "${plan.backup_id}" changed since the run was planned`,
  );
}

interface TopicOfRun {
  readonly topic: ClusterTopic;
  /** Of which there may be checkpoints. */
  readonly partitions: readonly number[];
}

/**
 * All partitions of the topics that there are, also those that could not be planned, for an
 * earlier attempt may have read them; before them those that an earlier attempt found and that
 * are gone. A topic may be among both, where it was made again with fewer partitions.
 */
function topicsOfRun({ left_behind, cluster }: BackupPlan): TopicOfRun[] {
  const gone = left_behind.map(({ partitions, ...topic }) => ({ topic, partitions }));
  const present = cluster.topics.map((topic) => ({
    topic,
    partitions: Array.from({ length: topic.partition_count }, (_, partition) => partition),
  }));
  return [...gone, ...present];
}

async function readParts(deps: FinishDeps, plan: BackupPlan): Promise<PartitionParts[]> {
  const lineagesOf = archivedLineages(deps.catalog, plan);
  const partitions = topicsOfRun(plan).flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic: topic.name, partition })),
  );
  return pLimit(concurrentReads).map(partitions, async (at) => ({
    ...at,
    lineages: await lineagesOf(at),
  }));
}

async function writeRun(
  { catalog, clock }: FinishDeps,
  { plan, lease_token }: FinishBackupRequest,
  parts: readonly PartitionParts[],
): Promise<RunEntry> {
  const { backup_id, run_id } = plan;
  const cluster = await catalog.writeClusterDocument(backup_id, run_id, plan.cluster);
  const lists = [];
  for (const [topic, ofTopic] of Map.groupBy(parts, (part) => part.topic)) {
    const list = runListOf(plan, topic, ofTopic);
    if (list.partitions.length === 0) continue;
    lists.push({ topic, ...(await catalog.writeRunList(list)) });
  }
  const run = await catalog.writeRunDocument({
    format_version: formatVersion,
    backup_id,
    run_id,
    cluster,
    lists,
  });
  return {
    run_id,
    started_at: plan.started_at,
    planned_at: plan.planned_at,
    finished_at: BigInt(clock.nowMs()),
    lease_token,
    run,
    totals: sumOfTotals(parts.flatMap(({ lineages }) => lineages.map(({ totals }) => totals))),
  };
}

function runListOf(plan: BackupPlan, topic: string, parts: readonly PartitionParts[]): RunList {
  return {
    format_version: formatVersion,
    backup_id: plan.backup_id,
    run_id: plan.run_id,
    topic,
    partitions: parts.flatMap(({ partition, lineages }) =>
      lineages
        .filter(({ segments }) => segments.length > 0)
        .map(({ lineage, topic_id, segments }) => ({
          partition,
          lineage,
          topic_id,
          segments: [...segments],
        })),
    ),
  };
}

/** All topics that the backup ever held, by name; those of this run as the run found them. */
function topicStates(
  before: readonly TopicState[],
  plan: BackupPlan,
  parts: readonly PartitionParts[],
): TopicState[] {
  const states = new Map(before.map((topic) => [topic.name, topic]));
  const partsByTopic = Map.groupBy(parts, (part) => part.topic);
  const works = new Map(plan.partitions.map((work) => [`${work.topic}/${work.partition}`, work]));
  for (const { topic, partitions: numbers } of topicsOfRun(plan)) {
    const partitions = new Map(
      states.get(topic.name)?.partitions.map(({ partition, lineages }) => [partition, lineages]),
    );
    const own = new Set(numbers);
    for (const part of partsByTopic.get(topic.name) ?? []) {
      if (!own.has(part.partition)) continue;
      const work = works.get(`${part.topic}/${part.partition}`);
      const run = { work, plannedAt: plan.planned_at };
      const lineages = withRun(partitions.get(part.partition) ?? [], part.lineages, run);
      if (lineages.length > 0) partitions.set(part.partition, lineages);
    }
    if (partitions.size > 0) states.set(topic.name, topicState(topic, partitions));
  }
  return [...states.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function topicState(
  topic: ClusterTopic,
  partitions: ReadonlyMap<number, LineageState[]>,
): TopicState {
  return {
    name: topic.name,
    partition_count: topic.partition_count,
    replication_factor: topic.replication_factor,
    config: topic.config,
    partitions: [...partitions]
      .map(([partition, lineages]) => ({ partition, lineages }))
      .sort((a, b) => a.partition - b.partition),
  };
}
