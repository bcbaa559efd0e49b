/**
 * `header-based`: by the header `x-original-offset` of the records in the target, whoever wrote
 * it. A group continues at the first record of the *newest ascending run* of these values that is
 * not below its position: where a topic was restored into more than once the values begin anew.
 */
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { HeaderRun } from "#core/offsets/header-run.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import {
  atRestoredEnd,
  distinctOffsets,
  targetPlace,
  translateByPartition,
} from "#core/offsets/strategies/places.ts";
import type { OffsetStrategyFunction, Translated } from "#core/offsets/strategies/strategy.ts";
import { forEachTargetRecord, offsetAt, targetOf } from "#core/offsets/target-records.ts";
import { originalOffsetHeader, originalOffsetOf } from "#core/restore/offset-headers.ts";
import type { Deadline } from "#core/runtime.ts";

/**
 * Each target partition is read once for the positions of all groups. Throws
 * PreflightRefusedError, naming them, where partitions hold records and none has such a header.
 */
export const byOffsetHeaders: OffsetStrategyFunction = async (deps, positions, partitions) => {
  const cluster = targetOf(deps, "header-based");
  const without: RestoredPartition[] = [];
  const translated = await translateByPartition(positions, partitions, async (partition, here) => {
    const run = await newestRun(cluster, partition, here, deps.deadline);
    if (run === undefined) without.push(partition);
    return run === undefined ? [] : here.map((position) => translate(partition, position, run));
  });
  if (without.length > 0) throw noHeaders(without);
  return translated;
};

/**
 * Undefined where there are records and no headers. What a restore of ours wrote ascends and is
 * all that counts, so reading stops at the last position; else whatever the log holds is read.
 */
async function newestRun(
  cluster: Cluster,
  partition: RestoredPartition,
  positions: readonly GroupPosition[],
  deadline: Deadline,
): Promise<HeaderRun | undefined> {
  const at = targetPlace(partition);
  const run = new HeaderRun(distinctOffsets(positions));
  const { start_offset: from, end_offset, offset_headers: isOurs } = partition;
  if (isOurs === false) return end_offset > from ? undefined : run;
  const to = isOurs ? end_offset : await offsetAt(cluster, at, "lastStable");
  let recordCount = 0;
  await forEachTargetRecord(cluster, { ...at, from, to }, deadline, (record) => {
    recordCount += 1;
    const original = originalOffsetOf(record);
    if (original !== undefined) run.add(original, record.offset);
    return isOurs && run.isComplete ? "stop" : undefined;
  });
  return run.isEmpty && recordCount > 0 ? undefined : run;
}

function translate(
  partition: RestoredPartition,
  position: GroupPosition,
  run: HeaderRun,
): Translated {
  const found = run.at(position.offset);
  if (found === undefined) return atRestoredEnd(partition, position, run.end);
  const leftOut = run.leftOut(position.offset);
  const note =
    leftOut &&
    `records from ${originalOffsetHeader} ${leftOut.original} on are also at offset ` +
      `${leftOut.target}, in an older part of the topic`;
  return {
    position,
    ...targetPlace(partition),
    target_offset: found.target,
    reason: "header",
    ...(note !== undefined && { note }),
  };
}

function noHeaders(partitions: readonly RestoredPartition[]): BackupError {
  const names = partitions.map(
    ({ target_topic, target_partition }) => `${target_topic}-${target_partition}`,
  );
  return new BackupError(
    "PreflightRefusedError",
    `no record has a header ${originalOffsetHeader} of 8 bytes: ${names.sort().join(", ")}`,
    {
      hint:
        "Restore with restore.include_offset_headers: true, or use strategy offset-map, which " +
        "needs no headers.",
      details: { partitions: partitions.length },
    },
  );
}
