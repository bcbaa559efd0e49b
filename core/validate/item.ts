import { z } from "zod";
import { segmentEntry } from "#core/catalog/manifest.ts";
import { type FindingPlace, validationLevels } from "#core/validate/findings.ts";

/** One segment to look at: all that a worker needs to know. */
export const validationItem = z.object({
  backup_id: z.string(),
  level: z.enum(validationLevels),
  topic: z.string(),
  partition: z.int().min(0),
  lineage: z.int().min(1),
  segment: segmentEntry,
});
export type ValidationItem = z.infer<typeof validationItem>;

export function placeOf(item: ValidationItem, key: string, offset?: bigint): FindingPlace {
  return {
    key,
    topic: item.topic,
    partition: item.partition,
    lineage: item.lineage,
    offset: offset ?? item.segment.start_offset,
  };
}
