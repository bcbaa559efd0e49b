/**
 * What a finished restore left of each partition: where its records are in the target, and the
 * offset map that leads there.
 */
import type { Gap } from "#core/catalog/manifest.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import type { OffsetRun } from "#core/restore/offset-map.ts";

export interface RestoredPartition {
  readonly source_topic: string;
  readonly source_partition: number;
  readonly lineage: number;
  readonly source_topic_id: string;
  readonly target_topic: string;
  readonly target_partition: number;
  readonly target_topic_id: string;
  /** Target offsets `[start_offset, end_offset)` hold the restored records. */
  readonly start_offset: bigint;
  readonly end_offset: bigint;
  /** The archive holds source offsets `[source_start_offset, source_end_offset)` less the gaps. */
  readonly source_start_offset: bigint;
  readonly source_end_offset: bigint;
  readonly source_gaps: readonly Pick<Gap, "from_offset" | "to_offset">[];
  readonly window: TimeWindow;
  /**
   * The offset map, part by part in ascending order, one part in memory at a time. Each part's
   * SHA-256 and the whole's completeness are checked: throws CorruptManifestError.
   */
  mapParts(): AsyncIterable<readonly OffsetRun[]>;
  /** The whole map in one list; a finely holed partition has millions of runs. */
  runs(): Promise<readonly OffsetRun[]>;
}
