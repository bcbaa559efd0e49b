/** `manual` and `skip`: the plan is for people to read; nothing is committed. */
import { sourceKey } from "#core/offsets/restored-partitions.ts";
import { byOffsetMap } from "#core/offsets/strategies/offset-map.ts";
import type { OffsetStrategyFunction } from "#core/offsets/strategies/strategy.ts";

/** `manual`: where `offset-map` would put the groups, as a recommendation. */
export const manual: OffsetStrategyFunction = byOffsetMap;

/** `skip`: where the groups stood, and no more. */
export const skip: OffsetStrategyFunction = async (_deps, positions, partitions) => {
  const targets = new Map(
    partitions.map((partition) => [
      sourceKey(partition),
      { topic: partition.target_topic, partition: partition.target_partition },
    ]),
  );
  return positions.map((position) => ({
    position,
    ...targets.get(sourceKey(position))!,
    target_offset: null,
    reason: "undecided",
    note: "left as it is: the strategy is skip",
  }));
};
