/** What every strategy of an offset reset is handed and answers; `plan.ts` calls them. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { PlannedOffset } from "#core/offsets/contract.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface StrategyDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly backup_id: string;
  /** The target; absent in a plan made without it. */
  readonly cluster?: Cluster;
  readonly deadline: Deadline;
}

/** Where a position shall be in the target, and how that was found. */
export interface Translated {
  readonly position: GroupPosition;
  /** Of the target. */
  readonly topic: string;
  readonly partition: number;
  /** Null where it is not decided: the group is left as it is. */
  readonly target_offset: bigint | null;
  readonly reason: PlannedOffset["reason"];
  /** One sentence for people, where the reason alone does not say it. */
  readonly note?: string;
}

/**
 * Answers one translation for each position, in any order. Every position lies in one of
 * `partitions`. Writes nothing, anywhere.
 */
export type OffsetStrategyFunction = (
  deps: StrategyDeps,
  positions: readonly GroupPosition[],
  partitions: readonly RestoredPartition[],
) => Promise<Translated[]>;
