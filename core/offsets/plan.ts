/**
 * The plan of an offset reset: for each group and target partition what is committed now, what
 * shall be, and why. Nothing is written, anywhere.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import { formatVersion } from "#core/catalog/manifest.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { findOnlyRestore, findRestore, restoredTopicsText } from "#core/offsets/choose-restore.ts";
import type {
  GroupSelection,
  OffsetPlan,
  OffsetSource,
  OffsetStrategy,
  PlannedOffset,
} from "#core/offsets/contract.ts";
import { clampToLog, type LogBounds, logBounds } from "#core/offsets/log-bounds.ts";
import { type KnownGroupPositions, readPositions } from "#core/offsets/positions.ts";
import {
  type FoundRestore,
  type RestoredPartition,
  sourceKey,
} from "#core/offsets/restored-partitions.ts";
import { sameNamedPartitions } from "#core/offsets/same-named.ts";
import { byClusterScan } from "#core/offsets/strategies/cluster-scan.ts";
import { byOffsetHeaders } from "#core/offsets/strategies/header-based.ts";
import { byOffsetMap } from "#core/offsets/strategies/offset-map.ts";
import { manual, skip } from "#core/offsets/strategies/report-only.ts";
import type { OffsetStrategyFunction, Translated } from "#core/offsets/strategies/strategy.ts";
import { byTimestamps } from "#core/offsets/strategies/timestamp-based.ts";
import { byPlace, partitionName } from "#core/offsets/topic-partition.ts";
import type { Clock, Deadline, Logger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface PlanDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The target; without it the plan says nothing of what is there now. */
  readonly cluster?: Cluster;
  /** The backup's own cluster, for `current`; the target is asked where it is that. */
  readonly source?: Cluster;
}

export interface OffsetPlanRequest {
  readonly backup_id: string;
  readonly groups: GroupSelection;
  readonly strategy: OffsetStrategy;
  /** `at-window-end` with a window's end, else `latest`, unless said. */
  readonly offset_source?: OffsetSource;
  /** An id, or `newest`; the only one that fits the target unless said (`choose-restore.ts`). */
  readonly restore_id?: string;
  /** Those that `readPositions` answered before, instead of reading any now. */
  readonly known?: KnownGroupPositions;
}

const strategies: Readonly<Record<OffsetStrategy, OffsetStrategyFunction>> = {
  "offset-map": byOffsetMap,
  "header-based": byOffsetHeaders,
  "timestamp-based": byTimestamps,
  "cluster-scan": byClusterScan,
  manual,
  skip,
};

/** These find a position by what the target holds, whoever restored it. */
const mapless: readonly OffsetStrategy[] = ["header-based", "timestamp-based", "cluster-scan"];

/**
 * Throws what `findRestore`, `readPositions` and the strategy throw, and what the cluster throws
 * where it cannot tell a target partition's log.
 */
export async function planOffsets(
  deps: PlanDeps,
  request: OffsetPlanRequest,
  deadline: Deadline,
): Promise<OffsetPlan> {
  const { storage, catalog, cluster, clock } = deps;
  const { backup_id, groups, strategy, offset_source } = request;
  const { restore, partitions } = await findTargets(deps, request);
  if (restore !== undefined) tellChoice(deps.logger, restore, request.restore_id);
  const window_end = restore?.report.window.end;
  const target_cluster_id = restore?.report.target_cluster_id ?? cluster?.clusterId;
  const source = deps.source ?? cluster;
  const known =
    request.known ??
    (await readPositions(
      { storage, catalog, clock, ...(source !== undefined && { cluster: source }) },
      {
        backup_id,
        groups,
        ...(offset_source !== undefined && { offset_source }),
        ...(window_end !== undefined && { window_end }),
        partitions,
        ...(target_cluster_id !== undefined && {
          targets: { cluster_id: target_cluster_id, topics: targetTopics(restore, partitions) },
        }),
      },
    ));
  deadline.signal.throwIfAborted();
  const strategyDeps = { storage, catalog, backup_id, deadline, ...(cluster && { cluster }) };
  const there = new Set(partitions.map(sourceKey));
  const positions = known.positions.filter((position) => there.has(sourceKey(position)));
  const translated = await strategies[strategy](strategyDeps, positions, partitions);
  return {
    format_version: formatVersion,
    backup_id,
    ...(restore !== undefined && { restore_id: restore.report.restore_id }),
    strategy,
    offset_source: known.offset_source,
    ...(target_cluster_id !== undefined && { target_cluster_id }),
    target_topics: topicIds(partitions),
    created_at: BigInt(clock.nowMs()),
    groups: await plannedGroups(cluster, translated, partitions),
    left_alone: withGoneTopics(restore, known.left_alone),
  };
}

/** Where the backup's partitions are: as a restore of ours left them, or under their own names. */
async function findTargets(
  deps: PlanDeps,
  { backup_id, strategy, restore_id }: OffsetPlanRequest,
): Promise<{ restore?: FoundRestore; partitions: readonly RestoredPartition[] }> {
  const { catalog, cluster } = deps;
  const isMapless = mapless.includes(strategy) && restore_id === undefined;
  if (isMapless && cluster !== undefined) {
    const restore = await findOnlyRestore(deps, backup_id);
    if (restore !== undefined) return { restore, partitions: restore.partitions };
    const partitions = await sameNamedPartitions({ catalog, cluster }, backup_id);
    if (partitions.length > 0) return { partitions };
  }
  const restore = await findRestore(deps, backup_id, restore_id);
  return { restore, partitions: restore.partitions };
}

/** Who did not name the restore learns which one it is before anything is committed. */
function tellChoice(logger: Logger, { report }: FoundRestore, asked: string | undefined): void {
  const { restore_id, topics } = report;
  if (asked === restore_id) return;
  const which = asked === undefined ? "the only one that fits" : asked;
  logger.info(`by restore ${restore_id} (${which}): ${restoredTopicsText(topics)}`);
}

/** Those that are gone, too. */
function targetTopics(
  restore: FoundRestore | undefined,
  partitions: readonly RestoredPartition[],
): string[] {
  const written = restore?.report.topics ?? partitions;
  return [...new Set(written.map(({ target_topic }) => target_topic))];
}

function topicIds(partitions: readonly RestoredPartition[]) {
  return Object.fromEntries(
    partitions.map(({ target_topic, target_topic_id }) => [
      target_topic,
      { topic_id: target_topic_id },
    ]),
  );
}

/** What was restored into a topic which is gone was restored, and that is worth knowing. */
function withGoneTopics(
  restore: FoundRestore | undefined,
  left_alone: OffsetPlan["left_alone"],
): OffsetPlan["left_alone"] {
  const gone = new Map(
    (restore?.report.topics ?? [])
      .filter(({ target_topic }) => restore?.gone.includes(target_topic))
      .map(({ source_topic, target_topic }) => [source_topic, target_topic]),
  );
  return left_alone.map((left) => {
    const target = gone.get(left.topic ?? "");
    if (target === undefined) return left;
    const reason = `was restored into "${target}", which was deleted or created anew since`;
    return { ...left, reason, gone: true };
  });
}

async function plannedGroups(
  cluster: Cluster | undefined,
  translated: readonly Translated[],
  partitions: readonly RestoredPartition[],
): Promise<OffsetPlan["groups"]> {
  const byGroup = Map.groupBy(translated, ({ position }) => position.group);
  const groups = [...byGroup.keys()].sort();
  const bounds = cluster && (await logBounds(cluster, targetsOf(translated)));
  const current = cluster && (await currentOffsets(cluster, groups));
  const restored = new Map(partitions.map((partition) => [sourceKey(partition), partition]));
  return groups.map((group) => ({
    group,
    partitions: byGroup
      .get(group)!
      .map((one) => {
        const target = restored.get(sourceKey(one.position))!;
        return planned(one, target, bounds, current?.get(group));
      })
      .sort(byPlace),
  }));
}

function targetsOf(translated: readonly Translated[]) {
  const targets = new Map(
    translated.map(({ topic, partition }) => {
      const at = { topic, partition };
      return [partitionName(at), at];
    }),
  );
  return [...targets.values()];
}

/** By `topic-partition` what a group has committed now, or why that cannot be told. */
type CurrentOffsets = ReadonlyMap<string, bigint> | { readonly reason: string };

async function currentOffsets(
  cluster: Cluster,
  groups: readonly string[],
): Promise<Map<string, CurrentOffsets>> {
  const committed = await cluster.committedOffsets(groups);
  const current = new Map<string, CurrentOffsets>(groups.map((group) => [group, new Map()]));
  for (const { group, offsets } of committed.groups) {
    current.set(group, new Map(offsets.map((at) => [partitionName(at), at.offset])));
  }
  for (const { group, reason } of committed.failed) current.set(group, { reason });
  return current;
}

function planned(
  { position, topic, partition, target_offset, reason, note }: Translated,
  restored: RestoredPartition,
  bounds: LogBounds | undefined,
  current: CurrentOffsets | undefined,
): PlannedOffset {
  const key = partitionName({ topic, partition });
  const log = bounds?.get(key);
  const clamped =
    log === undefined || target_offset === null ? undefined : clampToLog(target_offset, log);
  // What is deleted already cannot be read; beyond the end something is wrong, which stays to see.
  const then = clamped?.is === "before" ? clamped.offset : target_offset;
  const end_offset = log?.end ?? restored.end_offset;
  const unread = current !== undefined && "reason" in current ? current.reason : undefined;
  const notes = [
    note,
    clamped?.note,
    unread && `what is committed now could not be read: ${unread}`,
  ].filter((text) => text !== undefined);
  return {
    topic,
    partition,
    source_topic: position.source_topic,
    source_partition: position.source_partition,
    source_offset: position.offset,
    source_read_at: position.read_at,
    ...(current instanceof Map && { current_offset: current.get(key) ?? null }),
    target_offset: then,
    reason,
    ...(notes.length > 0 && { note: notes.join("; ") }),
    metadata: position.metadata,
    end_offset,
    lag: then === null ? null : then < end_offset ? end_offset - then : 0n,
  };
}
