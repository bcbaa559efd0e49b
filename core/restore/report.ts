/** `report.json`: what a restore has done. Creating it is what finishes the restore. */
import { z } from "zod";
import { formatVersion } from "#core/catalog/manifest.ts";
import { int64 } from "#core/json.ts";
import {
  keptSetting,
  type PartitionResult,
  partitionResult,
  type RestoredTopic,
  type RestoreIntent,
  type RestoreTarget,
  type SentBatches,
  sentBatches,
  timeWindow,
} from "#core/restore/documents.ts";
import { finding } from "#core/restore/findings.ts";

export const restorePhases = ["prepare", "restore", "verify", "put-back"] as const;
export type RestorePhase = (typeof restorePhases)[number];

const phaseDuration = z.object({ phase: z.enum(restorePhases), duration_ms: z.int().min(0) });

const topicReport = z.object({
  source_topic: z.string(),
  target_topic: z.string(),
  target_topic_id: z.string(),
  /** True where the restore made the topic. */
  created: z.boolean(),
  record_count: int64,
  sent: sentBatches,
  /** Of partitions that are restored and verified. */
  partitions: z.array(partitionResult),
});
export type TopicReport = z.infer<typeof topicReport>;

export const restoreReport = z.object({
  format_version: z.literal(formatVersion),
  backup_id: z.string(),
  restore_id: z.string(),
  request_sha256: z.string(),
  manifest: z.object({ generation: z.int().min(1), sha256: z.string() }),
  target_cluster_id: z.string(),
  window: timeWindow,
  /** Whether records got the headers of `offset-headers.ts`; absent: they did not. */
  include_offset_headers: z.boolean().optional(),
  started_at: int64,
  /** Of this report. */
  finished_at: int64,
  /** True where earlier attempts did a part; the phases' durations are of the last one. */
  resumed: z.boolean(),
  phases: z.array(phaseDuration),
  /** For so long brokers held the last attempt back by a quota; absent where they did not. */
  throttled_ms: z.int().min(1).optional(),
  partition_count: z.int().min(0),
  record_count: int64,
  sent: sentBatches,
  topics: z.array(topicReport),
  findings: z.array(finding),
  /** Retention that stays off until the operator runs the command. */
  kept_settings: z.array(keptSetting),
});
export type RestoreReport = z.infer<typeof restoreReport>;

/** What the report of one topic is made of. */
export interface FinishedTopic {
  readonly target: RestoreTarget;
  /** Undefined while a partition of it is not restored and verified. */
  readonly restored: RestoredTopic | undefined;
  readonly results: readonly PartitionResult[];
}

export function makeReport(
  intent: RestoreIntent,
  finished: ReadonlyMap<string, FinishedTopic>,
  run: Pick<RestoreReport, "finished_at" | "resumed" | "phases" | "throttled_ms">,
): RestoreReport {
  const topics = intent.topics.flatMap((plan): TopicReport[] => {
    const topic = finished.get(plan.target_topic);
    if (topic === undefined) return [];
    return [
      {
        source_topic: plan.source_topic,
        target_topic: plan.target_topic,
        target_topic_id: topic.target.topic_id,
        created: topic.target.created,
        record_count: topic.results.reduce((sum, result) => sum + result.record_count, 0n),
        sent: sumOf(topic.results),
        partitions: [...topic.results],
      },
    ];
  });
  return {
    format_version: formatVersion,
    backup_id: intent.backup_id,
    restore_id: intent.restore_id,
    request_sha256: intent.request_sha256,
    manifest: intent.manifest,
    target_cluster_id: intent.target_cluster_id,
    window: intent.window,
    ...(intent.include_offset_headers && { include_offset_headers: true }),
    started_at: intent.created_at,
    ...run,
    partition_count: topics.reduce((sum, { partitions }) => sum + partitions.length, 0),
    record_count: topics.reduce((sum, { record_count }) => sum + record_count, 0n),
    sent: sumOf(topics),
    topics,
    findings: intent.findings,
    kept_settings: [...finished.values()].flatMap(({ restored }) => restored?.kept ?? []),
  };
}

function sumOf(parts: readonly { sent: SentBatches }[]): SentBatches {
  const sum = { bytes: 0, raw: 0, encoded: 0 };
  for (const { sent } of parts) {
    sum.bytes += sent.bytes;
    sum.raw += sent.raw;
    sum.encoded += sent.encoded;
  }
  return sum;
}
