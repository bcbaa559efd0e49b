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
import {
  type GroupPosition,
  PositionSearch,
  type WantedPartition,
} from "#core/offsets/position-search.ts";
import { sourceKey } from "#core/offsets/restored-partitions.ts";
import { isGroupGlob, selectGroups } from "#core/offsets/select-groups.ts";
import { timeText } from "#core/restore/lineage.ts";
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
}

export interface KnownGroupPositions {
  readonly offset_source: OffsetSource;
  readonly positions: GroupPosition[];
  readonly left_alone: OffsetPlan["left_alone"];
}

/**
 * Where the selected groups stood in the given source partitions. Only positions of the backup's
 * cluster under the same topic id count. Throws PreflightRefusedError, naming the other choices,
 * where nothing is known of a named group or no position at all, InvalidRequestError and
 * SnapshotNotFoundError for a source that is not there.
 */
export async function readPositions(
  deps: PositionsDeps,
  request: PositionsRequest,
): Promise<KnownGroupPositions> {
  const { window_end, backup_id } = request;
  const manifest = await newestManifest(deps, backup_id);
  const offset_source =
    request.offset_source ?? (window_end === undefined ? "latest" : "at-window-end");
  const search = new PositionSearch(request.partitions.map((at) => wantedOf(manifest, at)));
  for (const moment of await momentsOf(deps, manifest, request, offset_source)) {
    if (search.isOver) break;
    search.look(await moment.read());
  }
  const known = new Set(search.groups);
  const selected = new Set(selectGroups([...known], request.groups));
  const positions = search.positions.filter(({ group }) => selected.has(group));
  const unknown = [...selected].filter((group) => !known.has(group));
  if (unknown.length > 0 || positions.length === 0) {
    const groups = unknown.length > 0 ? unknown : [...selected];
    throw await nothingKnown(deps, manifest, offset_source, window_end, groups);
  }
  const left_alone = leftAlone(search, positions, selected);
  return { offset_source, positions, left_alone };
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
): Promise<KnownMoment[]> {
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
      const moments = await knownMoments(deps, manifest);
      return moments.filter(({ read_at }) => read_at <= window_end);
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

const snapshotsNamed = 5;

async function nothingKnown(
  deps: PositionsDeps,
  manifest: Manifest,
  source: OffsetSource,
  window_end: bigint | undefined,
  groups: readonly string[],
): Promise<BackupError> {
  const moments = await knownMoments(deps, manifest);
  const choices: string[] = [];
  const newest = moments[0];
  if (source !== "latest" && newest !== undefined) {
    choices.push(`latest (${newest.from} of ${timeText(newest.read_at)})`);
  }
  if (source === "latest" || source.startsWith("snapshot:")) choices.push("at-window-end");
  if (source !== "current") choices.push(`current (what cluster ${manifest.cluster_id} has now)`);
  const snapshots = moments.filter(({ from }) => from.startsWith("snapshot "));
  for (const { from, read_at } of snapshots.slice(0, snapshotsNamed)) {
    choices.push(`${from.replace(" ", ":")} of ${timeText(read_at)}`);
  }
  const when =
    source === "at-window-end" && window_end !== undefined
      ? `at or before the end of the window, ${timeText(window_end)}`
      : `by offset source ${source}`;
  const names = groups.map((group) => JSON.stringify(group)).join(", ");
  return new BackupError(
    "PreflightRefusedError",
    `no position in what was restored is known ${when} of group ${names}`,
    { hint: `Choose another offset source: ${choices.join(", ")}.` },
  );
}
