/** Snapshots of committed offsets: `snapshots/{snapshot_id}.json`, written once. */
import type { Catalog } from "#core/catalog/catalog.ts";
import {
  checkedName,
  checkSame,
  corrupt,
  documentBytes,
  parseDocument,
} from "#core/catalog/documents.ts";
import { formatVersion } from "#core/catalog/manifest.ts";
import type { SnapshotSummary } from "#core/catalog/snapshot-summary.ts";
import { storedSnapshots } from "#core/catalog/stored-ids.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster, CommittedOffsets, GroupDescription } from "#core/kafka/cluster.ts";
import {
  type GroupSelection,
  type OffsetSnapshot,
  offsetSnapshot,
  type SnapshotGroup,
} from "#core/offsets/contract.ts";
import { isGroupGlob, selectGroups } from "#core/offsets/select-groups.ts";
import { byPlace, partitionName, partitionNamed } from "#core/offsets/topic-partition.ts";
import type { Clock, Logger, NewId } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { snapshotKey } from "#core/storage/keys.ts";
import { newSnapshotId, secondOfSnapshot } from "#core/storage/snapshot-ids.ts";
import { writeOnce } from "#core/storage/write-once.ts";

export interface SnapshotDeps {
  readonly storage: StorageBackend;
  /** Told of each snapshot that was stored, where there is one. */
  readonly catalog?: Pick<Catalog, "noteSnapshot">;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly newId: NewId;
}

/**
 * Stores what groups have committed now; durable when it resolves. Nothing is stored where a
 * broker does not list its groups, or a group that was named cannot be read (K8): its error is
 * thrown; and InvalidRequestError where none of the named ones exists or has offsets. Of all groups, those that cannot be read are in `unread_groups`.
 */
export async function takeSnapshot(
  deps: SnapshotDeps,
  request: { readonly groups: GroupSelection; readonly description: string },
): Promise<OffsetSnapshot> {
  const { groups: selection, description } = request;
  const isAll = "all" in selection;
  const committed = isAll ? await deps.cluster.committedOffsets() : await named(deps, selection);
  return storeSnapshot(deps, committed, { description, isAll, isTyped: !isAll });
}

/** A safety snapshot, before the groups are changed; by bare names, none of which is a pattern. */
export async function takeSnapshotOf(
  deps: SnapshotDeps,
  groups: readonly string[],
  description: string,
): Promise<OffsetSnapshot> {
  const committed = await deps.cluster.committedOffsets(groups);
  return storeSnapshot(deps, committed, { description, isAll: false, isSafety: true });
}

/** The groups that names and patterns mean; every group is listed where there is a pattern. */
async function named(
  { cluster }: SnapshotDeps,
  selection: GroupSelection & { readonly groups: readonly string[] },
): Promise<CommittedOffsets> {
  if (!selection.groups.some(isGroupGlob)) return cluster.committedOffsets(selection.groups);
  const listed = await cluster.committedOffsets();
  const names = [...listed.groups, ...listed.failed].map(({ group }) => group);
  const selected = new Set(selectGroups(names, selection));
  const known = new Set(names);
  const unlisted = [...selected].filter((group) => !known.has(group));
  const rest =
    unlisted.length === 0 ? { groups: [], failed: [] } : await cluster.committedOffsets(unlisted);
  return {
    groups: [...listed.groups, ...rest.groups].filter(({ group }) => selected.has(group)),
    failed: [...listed.failed, ...rest.failed].filter(({ group }) => selected.has(group)),
    complete: listed.complete,
  };
}

interface SnapshotKind {
  readonly description: string;
  readonly isAll: boolean;
  readonly isSafety?: boolean;
  /** The groups were named by a person, who may have mistyped them all. */
  readonly isTyped?: boolean;
}

async function storeSnapshot(
  deps: SnapshotDeps,
  committed: CommittedOffsets,
  { description, isAll, isSafety = false, isTyped = false }: SnapshotKind,
): Promise<OffsetSnapshot> {
  const { cluster, storage, clock, logger } = deps;
  const readAtMs = clock.nowMs();
  const described = await cluster.describeGroups(committed.groups.map(({ group }) => group));
  const descriptions = new Map<string, GroupDescription>();
  const failed = [...committed.failed];
  for (const result of described) {
    if ("error" in result) failed.push({ ...result, reason: result.error.message });
    else descriptions.set(result.group, result);
  }
  if (!isAll) throwUnread(failed);
  if (isTyped) refuseNothing(committed.groups, descriptions);
  const groups: [string, SnapshotGroup][] = [];
  for (const { group, offsets } of committed.groups) {
    const description = descriptions.get(group);
    if (description === undefined) continue;
    const { type, state } = description;
    if (state === "Dead") logger.warn("the consumer group does not exist", { group });
    const partitions = offsets.toSorted(byPlace).map((at) => {
      const { offset, metadata, leaderEpoch } = at;
      const epoch = leaderEpoch < 0 ? {} : { leader_epoch: leaderEpoch };
      return [partitionName(at), { offset, metadata, ...epoch }] as const;
    });
    groups.push([group, { type, state, partitions: Object.fromEntries(partitions) }]);
  }
  const topics = new Set(committed.groups.flatMap(({ offsets }) => offsets.map((at) => at.topic)));
  const snapshot: OffsetSnapshot = {
    snapshot_id: newSnapshotId(readAtMs, deps.newId()),
    description,
    created_at: new Date(readAtMs).toISOString(),
    consumer_groups: Object.fromEntries(groups),
    format_version: formatVersion,
    cluster_id: cluster.clusterId,
    all_groups: isAll,
    groups_complete: committed.complete,
    ...(isSafety && { safety: true }),
    topics: await topicIds(cluster, [...topics]),
    unread_groups: failed.map(({ group, reason }) => ({ group, reason })),
  };
  const body = documentBytes(snapshot);
  await writeOnce(storage, snapshotKey(snapshot.snapshot_id), body);
  await deps.catalog?.noteSnapshot({ ...snapshotFacts(snapshot), bytes: body.length });
  return snapshot;
}

/** Nobody relies on a snapshot of nothing: a name that does not exist is mistyped. */
function refuseNothing(
  groups: CommittedOffsets["groups"],
  descriptions: ReadonlyMap<string, GroupDescription>,
): void {
  const isThere = ({ group, offsets }: CommittedOffsets["groups"][number]) =>
    offsets.length > 0 || descriptions.get(group)?.state !== "Dead";
  if (groups.some(isThere)) return;
  const names = groups.slice(0, failuresNamed).map(({ group }) => JSON.stringify(group));
  const more = groups.length > failuresNamed ? ` and ${groups.length - failuresNamed} more` : "";
  throw new BackupError(
    "InvalidRequestError",
    `none of the named groups exists or has committed offsets: ${names.join(", ")}${more}`,
    { hint: "Name groups as Kafka lists them; groups that may not be seen look absent." },
  );
}

/** Groups named in one message; the rest are counted. */
const failuresNamed = 5;

function throwUnread(failed: CommittedOffsets["failed"]): void {
  const [first] = failed;
  if (first === undefined) return;
  if (failed.length === 1 || !isBackupError(first.error)) throw first.error;
  const reasons = failed.slice(0, failuresNamed).map(({ reason }) => reason);
  const more = failed.length > failuresNamed ? `; and ${failed.length - failuresNamed} more` : "";
  throw new BackupError(first.error.name, `${reasons.join("; ")}${more}`, { cause: first.error });
}

async function topicIds(
  cluster: Cluster,
  topics: readonly string[],
): Promise<OffsetSnapshot["topics"]> {
  if (topics.length === 0) return {};
  const found = await cluster.describeTopics(topics);
  return Object.fromEntries(found.map(({ name, topicId }) => [name, { topic_id: topicId }]));
}

/** What a list of snapshots says of one. */
export function snapshotFacts(snapshot: OffsetSnapshot): Omit<SnapshotSummary, "bytes"> {
  const groups = Object.values(snapshot.consumer_groups);
  const positions = groups.map(({ partitions }) => Object.keys(partitions).length);
  return {
    snapshot_id: snapshot.snapshot_id,
    description: snapshot.description,
    created_at: snapshot.created_at,
    cluster_id: snapshot.cluster_id,
    all_groups: snapshot.all_groups,
    safety: snapshot.safety === true,
    group_count: groups.length,
    position_count: positions.reduce((sum, count) => sum + count, 0),
    unread_group_count: snapshot.unread_groups.length,
  };
}

/** Ids of all snapshots, ascending, which is by time. */
export async function* listSnapshotIds(storage: StorageBackend): AsyncIterable<string> {
  for await (const { snapshot_id } of storedSnapshots(storage)) yield snapshot_id;
}

/** Throws SnapshotNotFoundError, CorruptManifestError, UnsupportedFormatVersionError. */
export async function readSnapshot(
  storage: StorageBackend,
  snapshotId: string,
): Promise<OffsetSnapshot> {
  const bytes = await bytesOf(storage, snapshotId);
  try {
    return parseSnapshot(snapshotId, bytes);
  } catch (cause) {
    if (!isBackupError(cause, "CorruptManifestError")) throw cause;
    const { name, message, details } = cause;
    throw new BackupError(name, message, { cause, details, hint: `${damagedSnapshotHint}.` });
  }
}

/** `validate` looks at backups: it does not know snapshots. */
export const damagedSnapshotHint =
  "Put back an older version of that object, or remove it with `kafka-backup offset-rollback delete`";

function parseSnapshot(snapshotId: string, bytes: Buffer): OffsetSnapshot {
  const key = snapshotKey(snapshotId);
  const snapshot = parseDocument(key, bytes, offsetSnapshot);
  checkSame(key, "snapshot_id", snapshot.snapshot_id, snapshotId);
  checkTime(key, snapshot);
  for (const [group, { partitions }] of Object.entries(snapshot.consumer_groups)) {
    for (const [name, { offset }] of Object.entries(partitions)) {
      const field = `consumer_groups.${group}.partitions.${name}`;
      checkedName(key, field, () => partitionNamed(name));
      if (offset < 0n) throw corrupt(key, `${field}.offset: is ${offset}, below 0`);
    }
  }
  return snapshot;
}

/** By their ids snapshots are passed over unread: none may be of another time than it says. */
function checkTime(key: string, { snapshot_id, created_at }: OffsetSnapshot): void {
  const second = secondOfSnapshot(snapshot_id);
  if (second === undefined) return;
  const ms = BigInt(Date.parse(created_at)) - second;
  if (ms >= 0n && ms < 1000n) return;
  throw corrupt(key, `created_at: is ${created_at}, but its id says another second`);
}

async function bytesOf(storage: StorageBackend, snapshotId: string): Promise<Buffer> {
  try {
    return await storage.get(snapshotKey(snapshotId));
  } catch (cause) {
    if (!isBackupError(cause, "ObjectNotFoundError")) throw cause;
    throw snapshotNotFound(storage, snapshotId, cause);
  }
}

/** Also of one that cannot be read. Throws SnapshotNotFoundError. */
export async function deleteSnapshot(
  storage: StorageBackend,
  snapshotId: string,
  catalog?: Pick<Catalog, "forgetSnapshots">,
): Promise<void> {
  const key = snapshotKey(snapshotId);
  if ((await storage.head(key)) === undefined) throw snapshotNotFound(storage, snapshotId);
  await catalog?.forgetSnapshots([snapshotId]);
  await storage.delete([key]);
}

function snapshotNotFound(storage: StorageBackend, id: string, cause?: unknown): BackupError {
  return new BackupError("SnapshotNotFoundError", `${storage.url}: no offset snapshot ${id}`, {
    cause,
    details: { snapshot_id: id },
  });
}
