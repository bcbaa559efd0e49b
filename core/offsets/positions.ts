/** What groups had committed in the source, by the offset source that was asked for. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { GroupSelection, OffsetPlan, OffsetSource } from "#core/offsets/contract.ts";
import {
  type KnownMoment,
  knownMoments,
  momentOfCluster,
  momentOfSnapshot,
} from "#core/offsets/known-positions.ts";
import { nothingKnown } from "#core/offsets/other-sources.ts";
import {
  type GroupPosition,
  PositionSearch,
  type WantedPartition,
} from "#core/offsets/position-search.ts";
import { sourceKey } from "#core/offsets/restored-partitions.ts";
import { isGroupGlob, selectGroups, unmatchedPatterns } from "#core/offsets/select-groups.ts";
import type { Clock } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { checkBackupId } from "#core/storage/keys.ts";

export type { GroupPosition } from "#core/offsets/position-search.ts";

export interface PositionsDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** The source, for `current`. */
  readonly cluster?: Cluster;
}

export interface PositionsRequest {
  readonly backup_id: string;
  readonly groups: GroupSelection;
  /** `at-window-end` with a window's end, else `latest`, unless said. */
  readonly offset_source?: OffsetSource;
  /** Inclusive, Unix milliseconds. */
  readonly window_end?: bigint;
  readonly partitions: readonly {
    readonly source_topic: string;
    readonly source_partition: number;
    readonly source_topic_id: string;
    /** The newest one of that topic id unless said. */
    readonly lineage?: number;
  }[];
  /** Where they were restored: a group that stands there is nothing to tell of. */
  readonly targets?: { readonly cluster_id: string; readonly topics: readonly string[] };
}

export interface KnownGroupPositions {
  readonly offset_source: OffsetSource;
  readonly positions: GroupPosition[];
  readonly left_alone: OffsetPlan["left_alone"];
}

/**
 * Where the selected groups stood in the given source partitions. Only positions of the backup's
 * cluster under the same topic id count. Throws PreflightRefusedError, naming the choices that
 * would give one, where nothing is known of a group or no position at all, InvalidRequestError and
 * SnapshotNotFoundError for a source that is not there, and InvalidRequestError for a pattern that
 * no known group matches.
 */
export async function readPositions(
  deps: PositionsDeps,
  request: PositionsRequest,
): Promise<KnownGroupPositions> {
  const { window_end, backup_id } = request;
  const manifest = await newestManifest(deps, backup_id);
  const offset_source =
    request.offset_source ?? (window_end === undefined ? "latest" : "at-window-end");
  const wanted = request.partitions.map((at) => wantedOf(manifest, at));
  const search = new PositionSearch(wanted, topicsAround(manifest, request));
  if (!search.isOver) {
    for await (const moment of await momentsOf(deps, manifest, request, offset_source)) {
      search.look(await moment.read());
      if (search.isOver) break;
    }
  }
  const refusal = (missing: GroupSelection) => {
    const known_groups = search.groups;
    const unknown = { manifest, wanted, offset_source, window_end, missing, known_groups };
    return nothingKnown(deps, unknown);
  };
  const known = new Set(search.groups);
  const unmatched = unmatchedPatterns([...known], request.groups);
  if (unmatched.length > 0) throw await refusal({ groups: unmatched });
  const selected = new Set(selectGroups([...known], request.groups));
  const positions = search.positions.filter(({ group }) => selected.has(group));
  const unknown = [...selected].filter((group) => !known.has(group));
  if (unknown.length > 0 || positions.length === 0) {
    const isAll = "all" in request.groups || selected.size === 0;
    const rest: GroupSelection = isAll ? { all: true } : { groups: [...selected] };
    throw await refusal(unknown.length > 0 ? { groups: unknown } : rest);
  }
  const left_alone = leftAlone(search, positions, selected);
  return { offset_source, positions, left_alone };
}

function topicsAround({ topics, cluster_id }: Manifest, { targets }: PositionsRequest) {
  const isSameCluster = targets?.cluster_id === cluster_id;
  return {
    backedUp: new Set(topics.map(({ name }) => name)),
    targets: new Set(isSameCluster ? targets?.topics : []),
  };
}

async function newestManifest({ catalog }: PositionsDeps, backupId: string): Promise<Manifest> {
  const newest = await catalog.latestManifest(checkBackupId(backupId));
  if (newest !== undefined) return newest.manifest;
  throw new BackupError("BackupNotFoundError", `there is no backup "${backupId}"`);
}

/** A truncated log keeps its topic id: there the times of the runs tell its lives apart. */
function wantedOf(manifest: Manifest, at: PositionsRequest["partitions"][number]): WantedPartition {
  const { source_topic, source_partition, source_topic_id, lineage } = at;
  const lives = (manifest.topics.find(({ name }) => name === source_topic)?.partitions ?? [])
    .filter(({ partition }) => partition === source_partition)
    .flatMap(({ lineages }) => lineages.filter(({ topic_id }) => topic_id === source_topic_id));
  const found = lives.findIndex((life) => life.lineage === lineage);
  const index = found < 0 ? lives.length - 1 : found;
  const isFirst = index <= 0;
  const isLast = index === lives.length - 1;
  return {
    ...{ source_topic, source_partition, source_topic_id },
    from: isFirst ? undefined : lives[index]?.first_planned_at,
    to: isLast ? undefined : lives[index]?.last_planned_at,
  };
}

/** Newest first. */
async function momentsOf(
  deps: PositionsDeps,
  manifest: Manifest,
  { groups, window_end }: PositionsRequest,
  source: OffsetSource,
): Promise<AsyncIterable<KnownMoment> | KnownMoment[]> {
  switch (source) {
    case "current": {
      const { cluster, clock } = deps;
      if (cluster === undefined) throw needsSource(manifest);
      return [momentOfCluster({ cluster, clock }, manifest, literalNames(groups))];
    }
    case "latest":
      return knownMoments(deps, manifest);
    case "at-window-end": {
      if (window_end === undefined) throw needsWindow();
      return knownMoments(deps, manifest, { until: window_end });
    }
    default: {
      const snapshotId = source.slice("snapshot:".length);
      return [await momentOfSnapshot(deps.storage, manifest, snapshotId)];
    }
  }
}

function needsSource({ cluster_id }: Manifest): BackupError {
  return new BackupError(
    "InvalidRequestError",
    `offset source \`current\` asks the backup's own cluster, ${cluster_id}, and it was not named`,
    { hint: "Name it with --source-bootstrap-servers, or choose another --offset-source." },
  );
}

function needsWindow(): BackupError {
  return new BackupError(
    "InvalidRequestError",
    "offset source `at-window-end` needs a restore with a window's end, and this one has none",
    { hint: "Choose latest, current or snapshot:ID." },
  );
}

/** Undefined where the groups of the cluster must be listed to know which are meant. */
function literalNames(selection: GroupSelection): readonly string[] | undefined {
  if ("all" in selection) return undefined;
  return selection.groups.some(isGroupGlob) ? undefined : selection.groups;
}

function leftAlone(
  search: PositionSearch,
  positions: readonly GroupPosition[],
  selected: ReadonlySet<string>,
): OffsetPlan["left_alone"] {
  const found = new Set(positions.map(({ group }) => group));
  const positioned = new Set(positions.map((at) => `${sourceKey(at)} ${at.group}`));
  const leftAlone = search.leftAlone.filter(
    ({ group, topic = "", partition = -1 }) =>
      selected.has(group) && !positioned.has(`${topic}-${partition} ${group}`),
  );
  const told = new Set(leftAlone.map(({ group }) => group));
  for (const group of selected) {
    if (found.has(group)) continue;
    const unread = search.unread.get(group);
    if (unread !== undefined) {
      leftAlone.push({ group, reason: `could not be read: ${unread}`, unread: true });
    } else if (!told.has(group)) {
      leftAlone.push({ group, reason: "had nothing committed in what was restored" });
    }
  }
  return leftAlone;
}
