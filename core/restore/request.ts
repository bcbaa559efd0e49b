/** What a restore is asked for, and the hash by which the same command is recognised. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { RestoreConfig } from "#core/config/schema.ts";
import { toJson } from "#core/json.ts";
import { timeWindow } from "#core/restore/documents.ts";

const partition = z.int().min(0);
const partitionKey = z.string().regex(/^\d{1,9}$/);

/**
 * Which life of each partition to restore: one number for all topics, or by source topic one for
 * all its partitions or one by partition.
 */
const lineageChoice = z.union([
  z.int().min(1),
  z.record(z.string(), z.union([z.int().min(1), z.record(partitionKey, z.int().min(1))])),
]);
export type LineageChoice = z.infer<typeof lineageChoice>;

/** A time of ten digits counts seconds: as milliseconds it would lie in the spring of 1970 (R9). */
const secondsFrom = 1_000_000_000n;
const secondsTo = 9_999_999_999n;

const restoreWindow = timeWindow.superRefine((window, context) => {
  for (const end of ["start", "end"] as const) {
    const time = window[end];
    if (time === undefined || time < secondsFrom || time > secondsTo) continue;
    context.addIssue({
      code: "custom",
      path: [end],
      message: `${time} looks like seconds; times are milliseconds: ${time}000`,
    });
  }
  if (window.start !== undefined && window.end !== undefined && window.start > window.end) {
    context.addIssue({
      code: "custom",
      path: ["end"],
      message: `the window ends (${window.end}) before it starts (${window.start})`,
    });
  }
});

export const restoreRequest = z.object({
  backup_id: z.string().min(1),
  /** Of the manifest to restore from; the newest unless said. */
  generation: z.int().min(1).optional(),
  window: restoreWindow,
  /** Source names or globs. */
  topics: z.object({ include: z.array(z.string()).min(1), exclude: z.array(z.string()) }),
  /** Source name to target name; others keep their name. */
  topic_mapping: z.record(z.string(), z.string()),
  /** Per source topic: source partition to target partition; others keep their number. */
  partition_mapping: z.record(z.string(), z.record(partitionKey, partition)),
  /** The newest lineage of each partition unless said. */
  lineage: lineageChoice.optional(),
  /** Whether target topics that do not exist are created. */
  create_topics: z.boolean(),
  /** Consent to append to topics that hold records. */
  allow_non_empty: z.boolean(),
  /**
   * Whether each record gets headers that name its source offset and timestamp
   * (`offset-headers.ts`); what the manifest's `restore_defaults` say where it is undefined.
   */
  include_offset_headers: z.boolean().optional(),
});
export type RestoreRequest = z.infer<typeof restoreRequest>;

/**
 * SHA-256 of what was asked for, whatever the order of keys and patterns. Consent is no part of
 * it: a restore that was begun with it is continued without.
 */
export function requestSha256(request: RestoreRequest): string {
  const { allow_non_empty: _, ...asked } = request;
  const { include, exclude } = asked.topics;
  const topics = { include: include.toSorted(), exclude: exclude.toSorted() };
  return createHash("sha256")
    .update(toJson(canonical({ ...asked, topics })))
    .digest("hex");
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [key, canonical(entry)]));
}

/** What a configuration asks for. */
export function restoreRequestOf({ backup_id, target, restore }: RestoreConfig): RestoreRequest {
  const { time_window_start: start, time_window_end: end, lineage } = restore;
  const { include_offset_headers } = restore;
  return {
    backup_id,
    window: { ...(start !== undefined && { start }), ...(end !== undefined && { end }) },
    topics: target.topics,
    topic_mapping: restore.topic_mapping,
    partition_mapping: restore.partition_mapping,
    ...(lineage !== undefined && { lineage }),
    create_topics: restore.create_topics,
    allow_non_empty: restore.allow_non_empty,
    ...(include_offset_headers !== undefined && { include_offset_headers }),
  };
}

/** How a restore goes about what it is asked for. */
export interface RestoreSettings {
  readonly max_concurrent_partitions: number;
  /** At most this long between durable checkpoints of a partition. */
  readonly checkpoint_interval_ms: number;
  /** Of record batches to and from the target, in the whole run; no limit unless said. */
  readonly max_bytes_per_second?: number | undefined;
  /** Of the target, for the commands that a report shows. */
  readonly bootstrap_servers: readonly string[];
}

export function restoreSettingsOf({ target, restore }: RestoreConfig): RestoreSettings {
  return {
    max_concurrent_partitions: restore.max_concurrent_partitions,
    checkpoint_interval_ms: restore.checkpoint_interval_secs * 1000,
    ...(restore.max_bytes_per_second !== undefined && {
      max_bytes_per_second: restore.max_bytes_per_second,
    }),
    bootstrap_servers: target.bootstrap_servers,
  };
}
