/** Requests and documents of restores that are right in every field, for tests to vary. */
import { formatVersion } from "#core/catalog/manifest.ts";
import type { RestoreIntent, TopicPlan } from "#core/restore/documents.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import { type RestoreRequest, requestSha256 } from "#core/restore/request.ts";
import { syntheticBackupId } from "#test/support/synthetic-backup.ts";

export const targetClusterId = "4L6g3nShT-eMCtK--X86sw";

export function requestOf(overrides: Partial<RestoreRequest> = {}): RestoreRequest {
  return {
    backup_id: syntheticBackupId,
    window: {},
    topics: { include: ["*"], exclude: [] },
    topic_mapping: {},
    partition_mapping: {},
    create_topics: true,
    allow_non_empty: false,
    ...overrides,
  };
}

export function topicPlanOf(overrides: Partial<TopicPlan> = {}): TopicPlan {
  return {
    source_topic: "orders",
    target_topic: "orders",
    target_topic_id: null,
    partition_count: 1,
    replication_factor: 1,
    config: {},
    settings_during: { "retention.ms": "-1" },
    partitions: [{ source_partition: 0, target_partition: 0, lineage: 1 }],
    ...overrides,
  };
}

export function intentOf(overrides: Partial<RestoreIntent> = {}): RestoreIntent {
  return {
    format_version: formatVersion,
    backup_id: syntheticBackupId,
    restore_id: "20260131T120000Z-00000001",
    created_at: 1_769_860_800_000n,
    request_sha256: requestSha256(requestOf()),
    manifest: { generation: 1, sha256: "0".repeat(64) },
    target_cluster_id: targetClusterId,
    window: {},
    topics: [topicPlanOf()],
    findings: [],
    ...overrides,
  };
}

export function reportOf(intent: RestoreIntent): RestoreReport {
  const { created_at, topics: _topics, ...same } = intent;
  return {
    ...same,
    started_at: created_at,
    finished_at: created_at + 1000n,
    resumed: false,
    phases: [],
    partition_count: 0,
    record_count: 0n,
    sent: { bytes: 0, raw: 0, encoded: 0 },
    topics: [],
    kept_settings: [],
  };
}
