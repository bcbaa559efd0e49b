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
  type PartitionWork,
} from "#core/backup/contract.ts";
import { type ArchivedPosition, archivedPosition, continuesArchive } from "#core/backup/lineage.ts";
import { selectTopics } from "#core/backup/select-topics.ts";
import type { StoredManifest } from "#core/catalog/catalog.ts";
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

/** Requests to the cluster under way at once while planning; a broker queues 500 by default. */
const concurrentRequests = 16;

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
 * lease held. Throws TopicNotFoundError, and InvalidRequestError for another cluster's backup.
 */
export async function planBackup(deps: BackupDeps, request: BackupRequest): Promise<PlannedBackup> {
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
  const planned = await planPartitions(deps, request.backup_id, run, stored?.manifest, ends);

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
    left_behind: resumed ? await leftBehind(deps, request.backup_id, run, document) : [],
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
  // Its commit was the last thing it did: only the tidying is left.
  if (open !== undefined) await catalog.closeRun(backupId, open.run_id);
  const run: OpenRun = {
    run_id: newRunId(clock.nowMs(), newId()),
    base_generation: generation,
    started_at: BigInt(clock.nowMs()),
  };
  await catalog.writeOpenRun(backupId, run);
  return { run, resumed: false };
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

/** A partition as it stood at the plan. */
interface PartitionEnd {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly startOffset: bigint;
  readonly lastStableOffset: bigint;
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

async function planPartitions(
  deps: BackupDeps,
  backupId: string,
  run: OpenRun,
  manifest: Manifest | undefined,
  ends: readonly PartitionEnd[],
): Promise<{ partitions: PartitionWork[]; failed: PartitionFailure[] }> {
  const limit = pLimit(concurrentRequests);
  const committed = committedLineages(manifest);
  const partitions: PartitionWork[] = [];
  const failed: PartitionFailure[] = [];
  const plan = async (end: PartitionEnd) => {
    const at = { topic: end.topic, partition: end.partition };
    const parts = await deps.catalog.checkpoints({ backupId, runId: run.run_id, ...at });
    const lineage = committed.get(`${end.topic}/${end.partition}`);
    return planPartition(deps, end, archivedPosition(lineage, parts.at(-1)));
  };
  await Promise.all(
    ends.map((end) =>
      limit(async () => {
        try {
          partitions.push(await plan(end));
        } catch (cause) {
          failed.push({ ...end, cause });
        }
      }),
    ),
  );
  partitions.sort((a, b) => compare(a.topic, b.topic) || a.partition - b.partition);
  return { partitions, failed };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What the plan before this one had read of topics that this one does not. */
async function leftBehind(
  { storage }: BackupDeps,
  backupId: string,
  run: OpenRun,
  document: ClusterDocument,
): Promise<BackupPlan["left_behind"]> {
  const key = inBackup(backupId, backupPlanKey(run.run_id));
  const body = await readIfPresent(storage, key);
  if (body === undefined) return [];
  const earlier = parseDocument(key, body, backupPlan);
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

function committedLineages(manifest: Manifest | undefined) {
  const topics = manifest?.topics ?? [];
  return new Map(
    topics.flatMap((topic) =>
      topic.partitions.map((p) => [`${topic.name}/${p.partition}`, p.lineages.at(-1)] as const),
    ),
  );
}

async function planPartition(
  { cluster, logger }: BackupDeps,
  end: PartitionEnd,
  archived: ArchivedPosition | undefined,
): Promise<PartitionWork> {
  const work = {
    topic: end.topic,
    topic_id: end.topicId,
    partition: end.partition,
    end_offset: end.lastStableOffset,
    leader_epoch: end.leaderEpoch,
  };
  const beginning = { ...work, start_offset: end.startOffset, last_leader_epoch: -1 };
  if (archived === undefined) return { ...beginning, lineage: 1 };
  if (await continuesArchive(cluster, end, end.topicId, archived)) {
    const { lineage, nextOffset, lastLeaderEpoch } = archived;
    // The last stable offset may lag for a moment after a leader change; never go back.
    const endOffset = end.lastStableOffset > nextOffset ? end.lastStableOffset : nextOffset;
    const position = { lineage, start_offset: nextOffset, last_leader_epoch: lastLeaderEpoch };
    return { ...work, ...position, end_offset: endOffset };
  }
  logger.warn(
    `${end.topic}-${end.partition} was created anew or truncated: lineage ${archived.lineage + 1} begins`,
  );
  return { ...beginning, lineage: archived.lineage + 1 };
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
  const behind = ends.filter((end, i) => {
    const answer = highWatermarks[i]!;
    return !("error" in answer) && answer.offset > end.lastStableOffset;
  });
  const limit = pLimit(concurrentRequests);
  const hanging: HangingTransaction[] = [];
  const unread: PartitionFailure[] = [];
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
