/**
 * A validation whose steps are done by many processes: what they hand to one another. The order of
 * the steps is in statemachines/validate.asl.json; `core/validate/run.ts` does the same in one
 * process. What the state machine carries is small, whatever the number of segments: what grows
 * with that is in the bucket (`core/storage/validation-keys.ts`).
 */
import { z } from "zod";
import { int64 } from "#core/json.ts";
import type { Clock, NewId } from "#core/runtime.ts";
import type { LoggedFindings } from "#core/validate/finding-log.ts";
import {
  type Finding,
  type FindingCode,
  findingTable,
  severities,
  validationLevels,
} from "#core/validate/findings.ts";
import { validationItem } from "#core/validate/item.ts";
import type { BackupReader } from "#core/validate/manifest-history.ts";
import { validationCursor } from "#core/validate/plan.ts";
import { excerptOf } from "#core/work-items/excerpt.ts";

export interface ValidationDeps extends BackupReader {
  readonly clock: Clock;
  readonly newId: NewId;
}

/** A validation that was begun: its first step answers it, and the others are handed it. */
export const validation = z.object({
  backup_id: z.string(),
  validation_id: z.string(),
  level: z.enum(validationLevels),
  /** Whose segments are looked at; 0 where no manifest can be read. */
  generation: z.int().min(0),
});
export type Validation = z.infer<typeof validation>;

/** With how long a turn may take, in milliseconds. */
export const validationOfMachine = validation.extend({ turn_ms: z.int().min(1) });

/** A work item as the state machine's Map hands it out. */
export const segmentsOfItem = z.object({
  /** From 0; names what the item leaves in the bucket. */
  number: z.int().min(0),
  /** With the number, names the object that holds the segments. */
  attempt: z.string(),
  segments: z.int().min(1),
});
export type SegmentsOfItem = z.infer<typeof segmentsOfItem>;

export const segmentsRequest = z.object({ validation, item: segmentsOfItem });
export type SegmentsRequest = z.infer<typeof segmentsRequest>;

/** `continue`: time was over; the same request again goes on. */
export interface PlanTurn {
  readonly status: "done" | "continue";
  /** When done: key of a JSON array of work items, and how many it holds. */
  readonly items: { readonly key: string; readonly count: number };
}

export interface SegmentsTurn {
  readonly status: "done" | "continue";
  /** Of this turn. */
  readonly bytes: number;
  readonly records: number;
  /** Segments of the item that were not looked at yet. */
  readonly segments_left: number;
}

// What is in the bucket

const findingCodes = Object.keys(findingTable) as [FindingCode, ...FindingCode[]];
const count = z.int().min(0);

const findingDocument: z.ZodType<Finding> = z.object({
  severity: z.enum(severities),
  code: z.enum(findingCodes),
  key: z.string().exactOptional(),
  topic: z.string().exactOptional(),
  partition: count.exactOptional(),
  lineage: count.exactOptional(),
  offset: int64.exactOptional(),
  message: z.string(),
  remedy: z.string(),
});

/** Fields of documents that hold findings. */
export const logged = {
  findings: z.array(findingDocument),
  counts: z.object({ error: count, warning: count, info: count }),
  left_out: count,
} satisfies Record<keyof LoggedFindings, z.ZodType>;

/** `start.json`: written by the first step. */
export const validationStart = z.object({
  started_at: int64,
  /** Of the manifest that is validated, which must not change meanwhile; absent: there is none. */
  sha256: z.string().exactOptional(),
  /** How much one work item takes, as `core/validate/steps/pack.ts` counts it. */
  item_cost: int64,
  manifest_count: count,
  findings: z.array(findingDocument),
});
export type ValidationStart = z.infer<typeof validationStart>;

/** `plan/{turn}.json`: what one turn of planning came to. The last one has no cursor. */
export const planPart = z.object({
  cursor: validationCursor.optional(),
  items: z.array(segmentsOfItem),
  run_count: count,
  segment_count: count,
  is_complete: z.boolean(),
  ...logged,
});
export type PlanPart = z.infer<typeof planPart>;

/** The segments of a work item; what they all share is in the request. */
export const itemDocument = z.array(validationItem.omit({ backup_id: true, level: true }));
export type ItemDocument = z.infer<typeof itemDocument>;

/** Segments that nobody could look at, for a reason that is no damage. */
export const uncheckedSegment = z.object({
  topic: z.string(),
  partition: count,
  /** From the storage's root. */
  key: z.string(),
  error: z.string(),
  message: z.string(),
});
export type UncheckedSegment = z.infer<typeof uncheckedSegment>;

/** `results/{work item}/{turn}.json`: what one turn at a work item came to. */
export const segmentsPart = z.object({
  /** Of the item's segments: the first that no turn has begun yet. */
  next: count,
  /** Before `next`: time was over before they were looked at from end to end. */
  unfinished: z.array(count),
  read: z.object({ bytes: count, batches: count, records: count }),
  unchecked: excerptOf(uncheckedSegment),
  ...logged,
});
export type SegmentsPart = z.infer<typeof segmentsPart>;
