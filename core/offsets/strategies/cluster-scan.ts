/**
 * `cluster-scan`: finds the records at the groups' positions again in the target, by their
 * content, and says how that compares with what the groups have committed there. A report:
 * nothing of it is ever committed.
 */
import type { Manifest } from "#core/catalog/manifest.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import {
  archivedPartition,
  archivedRecords,
  newestManifest,
} from "#core/offsets/archived-records.ts";
import {
  type ComparedRecord,
  comparedRecord,
  comparedRecordsMax,
  RecordSearch,
} from "#core/offsets/content-match.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import {
  atRestoredEnd,
  distinctOffsets,
  targetPlace,
  translateByPartition,
} from "#core/offsets/strategies/places.ts";
import type {
  OffsetStrategyFunction,
  StrategyDeps,
  Translated,
} from "#core/offsets/strategies/strategy.ts";
import { forEachTargetRecord, offsetAt, targetOf } from "#core/offsets/target-records.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";

/** Records of the target that are compared for one position, from its timestamp's place on. */
const scannedOffsetsMax = 1_000_000n;
/** A gap between two places to search that is worth another fetch. */
const skippedOffsetsMin = 10_000n;

export const byClusterScan: OffsetStrategyFunction = async (deps, positions, partitions) => {
  const cluster = targetOf(deps, "cluster-scan");
  const manifest = await newestManifest(deps.catalog, deps.backup_id);
  const committed = await committedIn(cluster, positions);
  const translated = await translateByPartition(positions, partitions, (partition, here) =>
    recommend({ ...deps, cluster }, manifest, partition, here),
  );
  return translated.map((one) => ({ ...one, note: noteOf(one, committed) }));
};

interface Committed {
  /** By group, then by `topic-partition` of the target. */
  readonly offsets: ReadonlyMap<string, ReadonlyMap<string, bigint>>;
  readonly unread: ReadonlyMap<string, string>;
}

async function committedIn(
  cluster: Cluster,
  positions: readonly GroupPosition[],
): Promise<Committed> {
  const names = [...new Set(positions.map(({ group }) => group))];
  const { groups, failed } = await cluster.committedOffsets(names);
  const offsets = groups.map(({ group, offsets }) => {
    const own = offsets.map(
      ({ topic, partition, offset }) => [partitionName({ topic, partition }), offset] as const,
    );
    return [group, new Map(own)] as const;
  });
  return {
    offsets: new Map(offsets),
    unread: new Map(failed.map(({ group, reason }) => [group, reason])),
  };
}

async function recommend(
  deps: StrategyDeps & { readonly cluster: Cluster },
  manifest: Manifest,
  partition: RestoredPartition,
  positions: readonly GroupPosition[],
): Promise<Translated[]> {
  const searches = await searchesFor(deps, manifest, partition, distinctOffsets(positions));
  await searchTarget(deps, partition, [...searches.values()]);
  return positions.map((position) => {
    const search = searches.get(position.offset);
    if (search === undefined) return atRestoredEnd(partition, position);
    const { target_offset, note } = search.result();
    const reason = target_offset === null ? "undecided" : "content";
    const noted = note === undefined ? {} : { note };
    return { position, ...targetPlace(partition), target_offset, reason, ...noted };
  });
}

/** By position; none for a position from which on no record was restored. */
async function searchesFor(
  deps: StrategyDeps & { readonly cluster: Cluster },
  manifest: Manifest,
  partition: RestoredPartition,
  offsets: readonly bigint[],
): Promise<Map<bigint, RecordSearch>> {
  const found = archivedRecords(
    deps,
    manifest,
    archivedPartition(partition),
    offsets,
    comparedRecordsMax,
    comparedRecord,
  );
  const searches = new Map<bigint, RecordSearch>();
  for await (const { position, records } of found) {
    const [first] = records;
    if (first === undefined) continue;
    const from = await searchFrom(deps.cluster, partition, first);
    searches.set(position, new RecordSearch(records, from));
  }
  return searches;
}

/** No record equal to `first` lies before; undefined where the target can hold none. */
async function searchFrom(
  cluster: Cluster,
  partition: RestoredPartition,
  { timestamp }: ComparedRecord,
): Promise<bigint | undefined> {
  // Negative ones have a meaning of their own in ListOffsets.
  if (timestamp < 0n) return partition.start_offset;
  const offset = await offsetAt(cluster, targetPlace(partition), { timestamp });
  if (offset < 0n) return undefined;
  return offset < partition.start_offset ? partition.start_offset : offset;
}

/** One pass over the target for all searches; what lies between two far places is not read. */
async function searchTarget(
  { cluster, deadline }: StrategyDeps & { readonly cluster: Cluster },
  partition: RestoredPartition,
  searches: readonly RecordSearch[],
): Promise<void> {
  const at = targetPlace(partition);
  const to = await offsetAt(cluster, at, "lastStable");
  const waiting = searches
    .flatMap((search) => (search.from === undefined ? [] : [{ search, from: search.from }]))
    .sort((a, b) => (a.from < b.from ? -1 : 1));
  let next = 0;
  let active: { search: RecordSearch; from: bigint }[] = [];
  while (next < waiting.length) {
    let isStopped = false;
    const { from } = waiting[next]!;
    await forEachTargetRecord(cluster, { ...at, from, to }, deadline, (record) => {
      const { offset } = record;
      while (next < waiting.length && waiting[next]!.from <= offset) active.push(waiting[next++]!);
      for (const { search } of active) search.compare(record);
      active = active.filter(
        ({ search, from }) => !search.isSettled && offset - from < scannedOffsetsMax,
      );
      if (active.length > 0) return undefined;
      const following = waiting[next];
      if (following !== undefined && following.from - offset < skippedOffsetsMin) return undefined;
      isStopped = true;
      return "stop";
    });
    if (!isStopped) return;
  }
}

/** What was found, and how far the group's own offset in the target is from it. */
function noteOf({ position, topic, partition, target_offset, note }: Translated, all: Committed) {
  const { offsets, unread } = all;
  const notes = note === undefined ? [] : [note];
  const reason = unread.get(position.group);
  const committed = offsets.get(position.group)?.get(partitionName({ topic, partition }));
  if (reason !== undefined) notes.push(`what the group has committed is not known: ${reason}`);
  else if (committed === undefined) notes.push("the group has committed nothing there");
  else if (target_offset === null) notes.push(`the group has committed ${committed}`);
  else if (committed === target_offset) notes.push("the group stands there already");
  else {
    const isBehind = committed < target_offset;
    const distance = isBehind ? target_offset - committed : committed - target_offset;
    const where = isBehind ? "behind" : "ahead";
    notes.push(`the group has committed ${committed}, ${distance} records ${where}`);
  }
  return notes.join("; ");
}
