/**
 * Where every group stood at the newest run of a backup, and where that is after a restore. Made
 * from the backup alone; all groups of the run, for whoever plans a restore or scripts around it.
 */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { LineageState, Manifest } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import { findNewestRestore, findRestore } from "#core/offsets/choose-restore.ts";
import type { PlannedOffset } from "#core/offsets/contract.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import { type FoundRestore, sourceKey } from "#core/offsets/restored-partitions.ts";
import { translatePositions } from "#core/offsets/strategies/offset-map.ts";
import type { Translated } from "#core/offsets/strategies/strategy.ts";
import { byPlace, partitionName, partitionNamed } from "#core/offsets/topic-partition.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { checkBackupId } from "#core/storage/keys.ts";

export interface MappedPartition {
  readonly committed_offset: bigint;
  readonly metadata: string;
  /** Where the archive of the partition ends, exclusive; null where nothing of it is archived. */
  readonly end_offset: bigint | null;
  /** Archived offsets from the committed one on; holes count. */
  readonly lag: bigint | null;
  /** After the restore; null before one, and where the partition was not restored. */
  readonly target_topic: string | null;
  readonly target_partition: number | null;
  readonly target_offset: bigint | null;
  readonly reason: PlannedOffset["reason"] | null;
}

export interface OffsetMapping {
  readonly backup_id: string;
  readonly cluster_id: string;
  /** The newest run, and when it read the groups: Unix milliseconds. */
  readonly run_id: string;
  readonly read_at: bigint;
  /** The restore that finished last unless one was named; null without one. */
  readonly restore_id: string | null;
  readonly target_cluster_id: string | null;
  /** Where none was named: ids of those that could have been meant, too, unfinished ones last. */
  readonly other_restores: readonly string[];
  /** By group, then by `topic-partition` of the source. */
  readonly consumer_groups: Readonly<
    Record<string, { readonly partitions: Readonly<Record<string, MappedPartition>> }>
  >;
  readonly unread_groups: readonly { readonly group: string; readonly reason: string }[];
}

interface MappingDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
}

/** Throws BackupNotFoundError, and what reading the backup and the restore throws. */
export async function offsetMapping(
  deps: MappingDeps,
  request: { readonly backup_id: string; readonly restore_id?: string },
  deadline: Deadline,
): Promise<OffsetMapping> {
  const { backup_id, restore_id } = request;
  const stored = await deps.catalog.latestManifest(checkBackupId(backup_id));
  const run = stored?.manifest.runs.at(-1);
  if (stored === undefined || run === undefined) {
    throw new BackupError("BackupNotFoundError", `there is no backup "${backup_id}"`);
  }
  const { cluster } = await deps.catalog.readRunDocument(backup_id, run.run);
  const document = await deps.catalog.readClusterDocument(backup_id, cluster);
  const { restore, others } =
    restore_id === undefined
      ? await findNewestRestore(deps, backup_id)
      : { restore: await findRestore(deps, backup_id, restore_id), others: [] };

  const topicIds = new Map(document.topics.map(({ name, topic_id }) => [name, topic_id]));
  const from = `run ${run.run_id}`;
  const positions = Object.entries(document.consumer_groups).flatMap(([group, { partitions }]) =>
    Object.entries(partitions).map(([name, { offset, metadata }]): GroupPosition => {
      const { topic: source_topic, partition: source_partition } = partitionNamed(name);
      const at = { group, source_topic, source_partition };
      return { ...at, offset, metadata, read_at: document.read_at, from };
    }),
  );
  const lives = newestLives(stored.manifest, topicIds);
  const translated = await translateAll(restore, positions, lives, deadline);
  const byGroup = Map.groupBy(positions, ({ group }) => group);
  const groups = [...byGroup].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    backup_id,
    cluster_id: document.cluster_id,
    run_id: run.run_id,
    read_at: document.read_at,
    restore_id: restore?.report.restore_id ?? null,
    target_cluster_id: restore?.report.target_cluster_id ?? null,
    other_restores: others,
    consumer_groups: Object.fromEntries(
      groups.map(([group, positions]) => {
        const partitions = positions
          .map((position) => ({ ...placeOf(position), position }))
          .sort(byPlace)
          .map(({ position, ...at }) => {
            const name = partitionName(at);
            const end = lives.get(name)?.next_offset ?? null;
            return [name, mapped(position, end, translated.get(position))] as const;
          });
        return [group, { partitions: Object.fromEntries(partitions) }];
      }),
    ),
    unread_groups: document.unread_groups,
  };
}

/** By `topic-partition`, the life that the newest run saw, where something of it is archived. */
function newestLives(
  { topics }: Manifest,
  topicIds: ReadonlyMap<string, string>,
): ReadonlyMap<string, LineageState> {
  const lives = topics.flatMap(({ name: topic, partitions }) =>
    partitions.map(({ partition, lineages }) => {
      return [partitionName({ topic, partition }), lineages.at(-1)!, topicIds.get(topic)] as const;
    }),
  );
  const seen = lives.filter(([, life, topicId]) => life.topic_id === topicId);
  return new Map(seen.map(([name, life]) => [name, life]));
}

/** Partition by partition; positions in one life of a partition say nothing of another (K3). */
async function translateAll(
  restore: FoundRestore | undefined,
  positions: readonly GroupPosition[],
  lives: ReadonlyMap<string, LineageState>,
  deadline: Deadline,
): Promise<Map<GroupPosition, Translated>> {
  const translated = new Map<GroupPosition, Translated>();
  const byPartition = Map.groupBy(positions, sourceKey);
  for (const partition of restore?.partitions ?? []) {
    const here = byPartition.get(sourceKey(partition));
    const life = lives.get(sourceKey(partition));
    const isSame =
      life?.topic_id === partition.source_topic_id && life.lineage === partition.lineage;
    if (here === undefined || !isSame) continue;
    deadline.signal.throwIfAborted();
    for (const one of await translatePositions(partition, here)) translated.set(one.position, one);
  }
  return translated;
}

function placeOf({ source_topic, source_partition }: GroupPosition) {
  return { topic: source_topic, partition: source_partition };
}

function mapped(
  { offset, metadata }: GroupPosition,
  end_offset: bigint | null,
  translated: Translated | undefined,
): MappedPartition {
  return {
    committed_offset: offset,
    metadata,
    end_offset,
    lag: end_offset === null ? null : end_offset > offset ? end_offset - offset : 0n,
    target_topic: translated?.topic ?? null,
    target_partition: translated?.partition ?? null,
    target_offset: translated?.target_offset ?? null,
    reason: translated?.reason ?? null,
  };
}
