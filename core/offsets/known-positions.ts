/**
 * What is known of the groups of a backup's cluster at single moments: each backup run, each
 * stored snapshot of the same cluster, and the cluster itself now.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { CommittedOffset, OffsetSnapshot, SnapshotGroup } from "#core/offsets/contract.ts";
import { damagedSnapshotHint, readSnapshot } from "#core/offsets/snapshot.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import type { Clock } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { secondOfSnapshot } from "#core/storage/snapshot-ids.ts";

/** What all groups that were asked for had committed at one moment. */
export interface KnownPositions {
  /** `run ID`, `snapshot ID` or `current`. */
  readonly from: string;
  /** Unix milliseconds. */
  readonly read_at: bigint;
  /** By name, of the topics whose offsets were kept. */
  readonly topicIds: ReadonlyMap<string, string>;
  /** By group, then by `topic-partition`. */
  readonly groups: ReadonlyMap<string, Readonly<Record<string, CommittedOffset>>>;
  /** Groups that could not be read, with the reason. */
  readonly unread: ReadonlyMap<string, string>;
  /** True where every group was listed: one that is not there had nothing committed. */
  readonly isComplete: boolean;
}

/** A moment of which something is known, not read yet. */
export interface KnownMoment {
  readonly from: string;
  readonly read_at: bigint;
  read(): Promise<KnownPositions>;
}

interface Reading {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
}

/** Which moments are asked for; all but safety snapshots, unless said. */
export interface MomentsRequest {
  /** Inclusive, Unix milliseconds: none that is later. */
  readonly until?: bigint | undefined;
  /** Snapshots alone. */
  readonly without_runs?: boolean;
}

/**
 * Every backup run and every snapshot of the backup's cluster but safety ones, newest first.
 * Snapshots are read only as far as the caller asks for moments, and of those that their ids or the
 * catalogue's table show to be too late, of another cluster or for safety none is. A damaged one
 * may be the newest: it is not passed over, and its error says how to get it out of the way.
 */
export async function* knownMoments(
  deps: Reading,
  manifest: Manifest,
  request: MomentsRequest = {},
): AsyncGenerator<KnownMoment> {
  const { until } = request;
  const isWanted = (time: bigint) => until === undefined || time <= until;
  const moments = request.without_runs ? [] : await runMoments(deps, manifest, isWanted);
  const unread = await unreadSnapshots(deps, manifest, isWanted);
  for (let atOnce = 1; ; atOnce = Math.min(2 * atOnce, readsAtOnceMax)) {
    const isNewest = ({ read_at }: KnownMoment) => !(unread[0] && unread[0].latest >= read_at);
    while (moments[0] !== undefined && isNewest(moments[0])) yield moments.shift()!;
    if (unread.length === 0) return;
    const known = moments[0]?.read_at ?? -1n;
    const mayBeNewer = unread.slice(0, atOnce).filter(({ latest }) => latest >= known);
    unread.splice(0, mayBeNewer.length);
    const read = await Promise.all(mayBeNewer.map(({ id }) => snapshotMoment(deps, manifest, id)));
    const found = read.filter((moment) => moment !== undefined);
    moments.push(...found.filter(({ read_at }) => isWanted(read_at)));
    moments.sort(newestFirst);
  }
}

/** Many safety snapshots may lie before the first that counts: then more are read at a time. */
const readsAtOnceMax = 16;

function newestFirst(a: { readonly read_at: bigint }, b: { readonly read_at: bigint }): number {
  return a.read_at > b.read_at ? -1 : a.read_at < b.read_at ? 1 : 0;
}

async function runMoments(
  { catalog }: Reading,
  manifest: Manifest,
  isWanted: (time: bigint) => boolean,
): Promise<KnownMoment[]> {
  const { backup_id } = manifest;
  const moments: KnownMoment[] = [];
  for await (const { run_id, planned_at, run } of catalog.runsOf(manifest)) {
    if (!isWanted(planned_at)) continue;
    const read = async () => {
      const { cluster } = await catalog.readRunDocument(backup_id, run);
      const document = await catalog.readClusterDocument(backup_id, cluster);
      return {
        from: `run ${run_id}`,
        read_at: document.read_at,
        topicIds: new Map(document.topics.map(({ name, topic_id }) => [name, topic_id])),
        groups: partitionsByGroup(document.consumer_groups),
        unread: reasonsByGroup(document.unread_groups),
        isComplete: document.groups_complete !== false,
      };
    };
    moments.push({ from: `run ${run_id}`, read_at: planned_at, read });
  }
  return moments.sort(newestFirst);
}

/** A snapshot that may count, of which no more is known than when it was taken at the latest. */
interface UnreadSnapshot {
  readonly id: string;
  readonly latest: bigint;
}

/** Later than any time: such a snapshot is read first. */
const unknownTime = 2n ** 63n - 1n;

/** Latest first. */
async function unreadSnapshots(
  { catalog }: Reading,
  { cluster_id }: Manifest,
  isWanted: (time: bigint) => boolean,
): Promise<UnreadSnapshot[]> {
  const unread: UnreadSnapshot[] = [];
  for await (const { snapshot_id: id, summary } of catalog.snapshots()) {
    if (summary === undefined) {
      const second = secondOfSnapshot(id);
      if (second !== undefined && !isWanted(second)) continue;
      unread.push({ id, latest: second === undefined ? unknownTime : second + 999n });
    } else if (summary.cluster_id === cluster_id && !summary.safety) {
      const time = timeOf(summary);
      if (isWanted(time)) unread.push({ id, latest: time });
    }
  }
  return unread.sort((a, b) => (a.latest > b.latest ? -1 : a.latest < b.latest ? 1 : 0));
}

/** Undefined for a safety snapshot, another cluster's, and one that was removed meanwhile. */
async function snapshotMoment(
  { storage }: Reading,
  { cluster_id }: Manifest,
  id: string,
): Promise<KnownMoment | undefined> {
  try {
    const snapshot = await readSnapshot(storage, id);
    if (snapshot.cluster_id !== cluster_id || snapshot.safety === true) return undefined;
    return momentOf(snapshot);
  } catch (cause) {
    if (isBackupError(cause, "SnapshotNotFoundError")) return undefined;
    if (!isBackupError(cause, "CorruptManifestError", "UnsupportedFormatVersionError")) throw cause;
    throw new BackupError(cause.name, cause.message, {
      cause,
      hint: `${damagedSnapshotHint}; or choose offset source current or snapshot:ID.`,
    });
  }
}

/** A stored snapshot. Throws SnapshotNotFoundError, InvalidRequestError for another cluster's. */
export async function momentOfSnapshot(
  storage: StorageBackend,
  manifest: Manifest,
  snapshotId: string,
): Promise<KnownMoment> {
  const snapshot = await readSnapshot(storage, snapshotId);
  if (snapshot.cluster_id !== manifest.cluster_id) {
    throw new BackupError(
      "InvalidRequestError",
      `snapshot ${snapshotId} is of cluster ${snapshot.cluster_id}, but backup ` +
        `"${manifest.backup_id}" is of cluster ${manifest.cluster_id}`,
      { hint: "`kafka-backup offset-rollback list` shows the snapshots of each cluster." },
    );
  }
  return momentOf(snapshot);
}

function momentOf(snapshot: OffsetSnapshot): KnownMoment {
  const known = ofSnapshot(snapshot);
  return { from: known.from, read_at: known.read_at, read: async () => known };
}

/**
 * The cluster itself, now. `groups` are asked for by name, else all that may be seen. Throws
 * InvalidRequestError when it is not the backup's cluster.
 */
export function momentOfCluster(
  { cluster, clock }: { readonly cluster: Cluster; readonly clock: Clock },
  manifest: Manifest,
  groups: readonly string[] | undefined,
): KnownMoment {
  if (cluster.clusterId !== manifest.cluster_id) {
    throw new BackupError(
      "InvalidRequestError",
      `offset source \`current\` asks cluster ${cluster.clusterId}, but backup ` +
        `"${manifest.backup_id}" is of cluster ${manifest.cluster_id}`,
      { hint: "Name the backup's own cluster with --source-bootstrap-servers." },
    );
  }
  const read_at = BigInt(clock.nowMs());
  return { from: "current", read_at, read: () => currentPositions(cluster, read_at, groups) };
}

async function currentPositions(
  cluster: Cluster,
  read_at: bigint,
  names: readonly string[] | undefined,
): Promise<KnownPositions> {
  const committed = await cluster.committedOffsets(names);
  const topics = await cluster.describeTopics();
  const groups = committed.groups.map(({ group, offsets }) => {
    const partitions = offsets.map(
      (at) => [partitionName(at), { offset: at.offset, metadata: at.metadata }] as const,
    );
    return [group, Object.fromEntries(partitions)] as const;
  });
  return {
    from: "current",
    read_at,
    topicIds: new Map(topics.map(({ name, topicId }) => [name, topicId])),
    groups: new Map(groups),
    unread: reasonsByGroup(committed.failed),
    isComplete: names === undefined && committed.complete,
  };
}

function ofSnapshot(snapshot: OffsetSnapshot): KnownPositions {
  const topicIds = Object.entries(snapshot.topics).map(
    ([name, { topic_id }]) => [name, topic_id] as const,
  );
  return {
    from: `snapshot ${snapshot.snapshot_id}`,
    read_at: timeOf(snapshot),
    topicIds: new Map(topicIds),
    groups: partitionsByGroup(snapshot.consumer_groups),
    unread: reasonsByGroup(snapshot.unread_groups),
    isComplete: snapshot.all_groups && snapshot.groups_complete,
  };
}

function timeOf({ created_at }: { readonly created_at: string }): bigint {
  return BigInt(Date.parse(created_at));
}

function partitionsByGroup(
  groups: Readonly<Record<string, Pick<SnapshotGroup, "partitions">>>,
): KnownPositions["groups"] {
  return new Map(Object.entries(groups).map(([group, { partitions }]) => [group, partitions]));
}

function reasonsByGroup(
  failed: readonly { readonly group: string; readonly reason: string }[],
): KnownPositions["unread"] {
  return new Map(failed.map(({ group, reason }) => [group, reason]));
}
