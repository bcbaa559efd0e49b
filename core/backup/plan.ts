/**
 * The first step of a backup: what to read, from where, and up to where. Group offsets are read
 * before the end offsets, so that no group stands past data that is not archived; the end offsets
 * of all partitions are taken here and kept for the whole run (F5).
 */
import pLimit from "p-limit";
import {
  type BackupDeps,
  type BackupPlan,
  type BackupRequest,
  backupPlan,
  type HangingTransaction,
  type PlannedRange,
} from "#core/backup/contract.ts";
import {
  concurrentRequests,
  type PartitionEnd,
  planPartitions,
} from "#core/backup/plan-partitions.ts";
import { lineageName, type PlannedReading, worksOf } from "#core/backup/ranges.ts";
import { selectTopics } from "#core/backup/select-topics.ts";
import { type SplitOptions, splitRanges } from "#core/backup/split-ranges.ts";
import type { Catalog, StoredManifest } from "#core/catalog/catalog.ts";
import { parseDocument, readIfPresent } from "#core/catalog/documents.ts";
import { type ClusterDocument, formatVersion, type Manifest } from "#core/catalog/manifest.ts";
import type { OpenRun } from "#core/catalog/run-state.ts";
import { BackupError } from "#core/errors.ts";
import { toPrettyJson } from "#core/json.ts";
import type {
  Cluster,
  CommittedOffsets,
  TopicDescription,
  TopicSetting,
} from "#core/kafka/cluster.ts";
import type { PartitionFailure } from "#core/partition-failure.ts";
import { newRunId } from "#core/run-id.ts";
import { backupPlanKey, inBackup } from "#core/storage/keys.ts";

export interface PlannedBackup {
  readonly plan: BackupPlan;
  /** Partitions that could not be planned; the others go on (K7). */
  readonly failed: readonly PartitionFailure[];
  /** True where an interrupted run goes on. */
  readonly resumed: boolean;
  readonly transactions: OpenTransactions;
}

interface OpenTransactions {
  readonly hanging: readonly HangingTransaction[];
  /** Partitions whose open transactions could not be asked for: no reason not to back them up. */
  readonly unread: readonly PartitionFailure[];
}

/**
 * Plans a run, or plans an interrupted one anew, and stores the plan. Call it with the backup's
 * lease held. Large partitions are split where `split` says for whom; ranges that an interrupted
 * run has begun are kept all the same. Throws TopicNotFoundError, and InvalidRequestError for
 * another cluster's backup.
 */
export async function planBackup(
  deps: BackupDeps,
  request: BackupRequest,
  split?: SplitOptions,
): Promise<PlannedBackup> {
  const { catalog, cluster, clock } = deps;
  const stored = await catalog.latestManifest(request.backup_id);
  refuseOtherCluster(stored?.manifest, cluster.clusterId);
  const { run, resumed } = await openOrResume(deps, request.backup_id, stored);

  const groups = await cluster.committedOffsets();
  if (!groups.complete) {
    deps.logger.warn(
      "consumer groups may be missing from the run: the credentials lack Describe on the cluster",
    );
  }
  const plannedAt = BigInt(clock.nowMs());
  const selected = selectTopics(await cluster.describeTopics(), request.topics);
  const { topics, denied } = await readSettings(cluster, selected);
  const { ends, failed } = await lastStableOffsets(cluster, topics);
  const document = await clusterDocument(cluster, plannedAt, topics, groups);
  const earlier = resumed ? await earlierPlan(deps, request.backup_id, run) : undefined;
  const ofRun = { backupId: request.backup_id, runId: run.run_id };
  const before = { manifest: stored?.manifest, plan: earlier };
  const planned = await planPartitions(deps, ofRun, before, ends);
  const added = split === undefined ? [] : await splitRanges(cluster, worksOf(planned), split);

  const plan: BackupPlan = {
    format_version: formatVersion,
    backup_id: request.backup_id,
    run_id: resumed ? newRunId(clock.nowMs(), deps.newId()) : run.run_id,
    state_id: run.run_id,
    started_at: run.started_at,
    planned_at: plannedAt,
    base: { generation: stored?.manifest.generation ?? 0, sha256: stored?.sha256 ?? null },
    cluster: document,
    segments: request.segments,
    include_offset_headers: request.include_offset_headers,
    partitions: planned.partitions,
    ranges: allRanges(planned, added, earlier),
    left_behind: earlier === undefined ? [] : leftBehind(earlier, document),
  };
  const key = inBackup(request.backup_id, backupPlanKey(run.run_id));
  await deps.storage.put(key, Buffer.from(toPrettyJson(plan)));
  return {
    plan,
    failed: [...denied, ...failed, ...planned.failed],
    resumed,
    transactions: await openTransactions(deps, ends),
  };
}

function refuseOtherCluster(manifest: Manifest | undefined, clusterId: string): void {
  if (manifest === undefined || manifest.cluster_id === clusterId) return;
  throw new BackupError(
    "InvalidRequestError",
    `backup "${manifest.backup_id}" belongs to cluster ${manifest.cluster_id}, ` +
      `but source is cluster ${clusterId}`,
    { hint: "Give each cluster a backup_id of its own, or correct source.bootstrap_servers." },
  );
}

async function openOrResume(
  { catalog, clock, newId, logger }: BackupDeps,
  backupId: string,
  stored: StoredManifest | undefined,
): Promise<{ run: OpenRun; resumed: boolean }> {
  const generation = stored?.manifest.generation ?? 0;
  const open = await catalog.openRun(backupId);
  if (open !== undefined && open.base_generation === generation) {
    logger.info(`continuing interrupted run ${open.run_id}`);
    return { run: open, resumed: true };
  }
  if (open !== undefined) {
    if (open.base_generation > generation) await throwIfOvertaken(catalog, backupId, generation);
    // Its commit was the last thing it did: only the tidying is left.
    await catalog.closeRun(backupId, open.run_id);
  }
  const run: OpenRun = {
    run_id: newRunId(clock.nowMs(), newId()),
    base_generation: generation,
    started_at: BigInt(clock.nowMs()),
  };
  await catalog.writeOpenRun(backupId, run);
  return { run, resumed: false };
}

/**
 * C5: a process that was paused since it read the manifest, and whose lease others took over, must
 * not close the run that they have open by now.
 */
async function throwIfOvertaken(
  catalog: Catalog,
  backupId: string,
  generation: number,
): Promise<void> {
  const newest = (await catalog.latestManifest(backupId))?.manifest.generation ?? 0;
  if (newest === generation) return;
  throw new BackupError(
    "BackupConflictError",
    `backup "${backupId}" is at generation ${newest} by now, and was at ${generation} ` +
      "when this run began to plan",
  );
}

interface ReadableTopic extends TopicDescription {
  /** The topic's own. */
  readonly config: Readonly<Record<string, string>>;
}

/** A topic is backed up with its settings or not at all: one whose are denied fails alone (K7). */
async function readSettings(
  cluster: Cluster,
  selected: readonly TopicDescription[],
): Promise<{ topics: ReadableTopic[]; denied: PartitionFailure[] }> {
  const answers = await cluster.topicSettings(selected.map(({ name }) => name));
  const byTopic = new Map(answers.map((answer) => [answer.topic, answer]));
  const topics: ReadableTopic[] = [];
  const denied: PartitionFailure[] = [];
  for (const topic of selected) {
    const answer = byTopic.get(topic.name)!;
    if ("error" in answer) {
      const failures = topic.partitions.map(({ partition }) => ({
        topic: topic.name,
        partition,
        cause: answer.error,
      }));
      denied.push(...failures);
    } else topics.push({ ...topic, config: ownSettings(answer.settings) });
  }
  return { topics, denied };
}

function ownSettings(settings: readonly TopicSetting[]): Record<string, string> {
  const own = settings.flatMap(({ name, value, ofTopic }) =>
    ofTopic && value !== null ? [[name, value] as const] : [],
  );
  return Object.fromEntries(own);
}

async function lastStableOffsets(
  cluster: Cluster,
  topics: readonly TopicDescription[],
): Promise<{ ends: PartitionEnd[]; failed: PartitionFailure[] }> {
  const partitions = topics.flatMap((topic) =>
    topic.partitions.map(({ partition, leaderEpoch }) => ({
      topic: topic.name,
      topicId: topic.topicId,
      partition,
      leaderEpoch,
    })),
  );
  const lastStable = await cluster.listOffsets(partitions, "lastStable");
  const earliest = await cluster.listOffsets(partitions, "earliest");
  const ends: PartitionEnd[] = [];
  const failed: PartitionFailure[] = [];
  for (const [i, partition] of partitions.entries()) {
    const end = lastStable[i]!;
    const start = earliest[i]!;
    if ("error" in end) failed.push({ ...partition, cause: end.error });
    else if ("error" in start) failed.push({ ...partition, cause: start.error });
    else ends.push({ ...partition, startOffset: start.offset, lastStableOffset: end.offset });
  }
  return { ends, failed };
}

/** Undefined where the run was interrupted before it had one. */
async function earlierPlan(
  { storage }: BackupDeps,
  backupId: string,
  run: OpenRun,
): Promise<BackupPlan | undefined> {
  const key = inBackup(backupId, backupPlanKey(run.run_id));
  const body = await readIfPresent(storage, key);
  return body === undefined ? undefined : parseDocument(key, body, backupPlan);
}

/** Those of the plan, and what was begun before of partitions and lineages that it has not. */
function allRanges(
  planned: PlannedReading,
  added: readonly PlannedRange[],
  earlier: BackupPlan | undefined,
): PlannedRange[] {
  const isPlanned = new Set(planned.partitions.map(lineageName));
  const begun = earlier?.ranges.filter((range) => !isPlanned.has(lineageName(range))) ?? [];
  return [...planned.ranges, ...added, ...begun].sort((a, b) =>
    a.from_offset < b.from_offset ? -1 : 1,
  );
}

/** What the plan before this one had read of topics that this one does not. */
function leftBehind(earlier: BackupPlan, document: ClusterDocument): BackupPlan["left_behind"] {
  const counts = new Map(document.topics.map((topic) => [topic.name, topic.partition_count]));
  const isGone = (topic: string, partition: number) => partition >= (counts.get(topic) ?? 0);
  const partitionsOf = (topic: string) =>
    earlier.partitions.filter((work) => work.topic === topic).map((work) => work.partition);
  const all = [
    ...earlier.left_behind,
    ...earlier.cluster.topics.map((topic) => ({ ...topic, partitions: partitionsOf(topic.name) })),
  ];
  return all
    .map((topic) => ({
      ...topic,
      partitions: topic.partitions.filter((partition) => isGone(topic.name, partition)),
    }))
    .filter(({ partitions }) => partitions.length > 0);
}

async function clusterDocument(
  cluster: Cluster,
  readAt: bigint,
  topics: readonly ReadableTopic[],
  committed: CommittedOffsets,
): Promise<ClusterDocument> {
  const names = new Set(topics.map((topic) => topic.name));
  const acls = await cluster.describeAcls();
  return {
    format_version: formatVersion,
    cluster_id: cluster.clusterId,
    read_at: readAt,
    topics: topics.map((topic) => ({
      name: topic.name,
      topic_id: topic.topicId,
      partition_count: topic.partitions.length,
      replication_factor: Math.max(1, ...topic.partitions.map((p) => p.replicas.length)),
      config: topic.config,
    })),
    ...(acls === undefined ? {} : { acls }),
    consumer_groups: groupDocuments(committed, names),
    unread_groups: committed.failed.map(({ group, reason }) => ({ group, reason })),
    groups_complete: committed.complete,
  };
}

function groupDocuments(
  committed: CommittedOffsets,
  topics: ReadonlySet<string>,
): ClusterDocument["consumer_groups"] {
  // Object.fromEntries, as a group may be called __proto__.
  const groups: [string, ClusterDocument["consumer_groups"][string]][] = [];
  for (const { group, offsets } of committed.groups) {
    const ours = offsets.filter(({ topic }) => topics.has(topic));
    if (ours.length === 0) continue;
    const partitions = ours.map(({ topic, partition, offset, metadata, leaderEpoch }) => [
      `${topic}-${partition}`,
      { offset, metadata, ...(leaderEpoch < 0 ? {} : { leader_epoch: leaderEpoch }) },
    ]);
    groups.push([group, { partitions: Object.fromEntries(partitions) }]);
  }
  return Object.fromEntries(groups);
}

/** Open transactions behind which committed records wait, for the operator to judge by age. */
async function openTransactions(
  { cluster, clock }: BackupDeps,
  ends: readonly PartitionEnd[],
): Promise<OpenTransactions> {
  const highWatermarks = await cluster.listOffsets(ends, "highWatermark");
  const hanging: HangingTransaction[] = [];
  const unread: PartitionFailure[] = [];
  const behind = ends.filter((end, i) => {
    const answer = highWatermarks[i]!;
    if (!("error" in answer)) return answer.offset > end.lastStableOffset;
    unread.push({ topic: end.topic, partition: end.partition, cause: answer.error });
    return false;
  });
  const limit = pLimit(concurrentRequests);
  const ask = async ({ topic, partition }: PartitionEnd) => {
    try {
      for (const open of await cluster.openTransactions({ topic, partition })) {
        hanging.push({
          topic,
          partition,
          producer_id: open.producerId,
          start_offset: open.startOffset,
          age_ms: clock.nowMs() - Number(open.lastTimestampMs),
        });
      }
    } catch (cause) {
      unread.push({ topic, partition, cause });
    }
  };
  await Promise.all(behind.map((end) => limit(ask, end)));
  return { hanging, unread };
}
