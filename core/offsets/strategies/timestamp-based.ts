/**
 * `timestamp-based`: the timestamp of the first restored record at or after the position, read
 * from the backup, and the target's first record of that time or later. It skips nothing that was
 * restored from the position on, but where timestamps are equal or out of order it lies before
 * that record, and records are read twice.
 */
import type { Manifest } from "#core/catalog/manifest.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import {
  archivedPartition,
  archivedRecords,
  newestManifest,
} from "#core/offsets/archived-records.ts";
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
import { offsetAt, refusePassed, targetOf } from "#core/offsets/target-records.ts";
import { timeText } from "#core/restore/lineage.ts";

export const byTimestamps: OffsetStrategyFunction = async (deps, positions, partitions) => {
  const cluster = targetOf(deps, "timestamp-based");
  const manifest = await newestManifest(deps.catalog, deps.backup_id);
  return translateByPartition(positions, partitions, (partition, here) =>
    translateIn({ ...deps, cluster }, manifest, partition, here),
  );
};

async function translateIn(
  deps: StrategyDeps & { readonly cluster: Cluster },
  manifest: Manifest,
  partition: RestoredPartition,
  positions: readonly GroupPosition[],
): Promise<Translated[]> {
  const byOffset = Map.groupBy(positions, ({ offset }) => offset);
  const source = archivedPartition(partition);
  const offsets = distinctOffsets(positions);
  const timestampOf = ({ timestamp }: { timestamp: bigint }) => timestamp;
  const found = archivedRecords(deps, manifest, source, offsets, 1, timestampOf);
  const translated: Translated[] = [];
  for await (const { position, records } of found) {
    refusePassed(source, deps.deadline);
    const [timestamp] = records;
    const here = byOffset.get(position)!;
    if (timestamp === undefined) {
      translated.push(...here.map((one) => atRestoredEnd(partition, one)));
      continue;
    }
    const place = await placeOf(deps.cluster, partition, timestamp);
    translated.push(...here.map((one) => ({ position: one, ...targetPlace(partition), ...place })));
  }
  return translated;
}

/** The target's first record of that time or later, among those restored. */
async function placeOf(
  cluster: Cluster,
  partition: RestoredPartition,
  timestamp: bigint,
): Promise<Pick<Translated, "target_offset" | "reason" | "note">> {
  // Negative ones have a meaning of their own in ListOffsets.
  if (timestamp < 0n) {
    const note = "the record at the position has no timestamp";
    return { target_offset: null, reason: "undecided", note };
  }
  const offset = await offsetAt(cluster, targetPlace(partition), { timestamp });
  if (offset < 0n) {
    const note = `the target holds no record of ${timeText(timestamp)} or later`;
    return { target_offset: partition.end_offset, reason: "restored-end", note };
  }
  const note = timeText(timestamp);
  const { start_offset } = partition;
  const target_offset = offset < start_offset ? start_offset : offset;
  return { target_offset, reason: "timestamp", note };
}
