/** Small documents of a backup that are right in every field, for tests to vary. */
import { createHash } from "node:crypto";
import {
  type ClusterDocument,
  formatVersion,
  type LineageState,
  type Manifest,
  type RunDocument,
  type RunEntry,
  type RunList,
  type SegmentEntry,
} from "#core/catalog/manifest.ts";
import type { Checkpoint } from "#core/catalog/run-state.ts";
import type { SnapshotSummary } from "#core/catalog/snapshot-summary.ts";
import { noTotals } from "#core/catalog/totals.ts";
import { clusterDocumentKey, runDocumentKey, runListKey, segmentKey } from "#core/storage/keys.ts";

export const backupId = "orders-backup";
export const clusterId = "MkU3OEVBNTcwNTJENDM2Qg";
export const topicId = "xQ0yJ7o0R9q1m4zv2Lr8Xw";
export const plannedAt = 1_769_860_800_000n;

export function sha256OfText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function manifestOf(overrides: Partial<Manifest> = {}): Manifest {
  const generation = overrides.generation ?? 1;
  return {
    format_version: formatVersion,
    backup_id: backupId,
    generation,
    created_at: plannedAt + 60_000n,
    created_by: "kafka-backup 0.1.0",
    cluster_id: clusterId,
    previous_sha256: generation === 1 ? null : sha256OfText(`manifest ${generation - 1}`),
    topics: [],
    run_pages: [],
    runs: [],
    ...overrides,
  };
}

export function runEntryOf(number: number): RunEntry {
  const run_id = `run-${String(number).padStart(5, "0")}`;
  return {
    run_id,
    started_at: plannedAt,
    planned_at: plannedAt,
    finished_at: plannedAt + 60_000n,
    lease_token: number,
    run: { key: runDocumentKey(run_id), sha256: sha256OfText(run_id), bytes: 1234 },
    totals: noTotals,
  };
}

export function runEntriesOf(first: number, last: number): RunEntry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => runEntryOf(first + i));
}

/** `[start, end]` of a partition, with one record per offset. */
export function segmentOf(
  start: bigint,
  end: bigint,
  at = { topic: "orders", partition: 0 },
): SegmentEntry {
  const key = segmentKey({ ...at, baseOffset: start, attempt: "a1" }, "zst");
  const count = Number(end - start) + 1;
  return {
    key,
    start_offset: start,
    end_offset: end,
    end_timestamp: plannedAt,
    record_count: count,
    batch_count: 1,
    batch_bytes: 100 * count,
    stored_bytes: 20 * count,
    sha256: sha256OfText(key),
    index_bytes: 200,
    index_sha256: sha256OfText(`index of ${key}`),
    leader_epochs: [{ epoch: 0, start_offset: start }],
  };
}

export function runListOf(overrides: Partial<RunList> = {}): RunList {
  const topic = overrides.topic ?? "orders";
  const segments = [segmentOf(0n, 9n, { topic, partition: 0 })];
  return {
    format_version: formatVersion,
    backup_id: backupId,
    run_id: "run-00001",
    topic,
    partitions: [{ partition: 0, lineage: 1, topic_id: topicId, segments }],
    ...overrides,
  };
}

export function runDocumentOf(overrides: Partial<RunDocument> = {}): RunDocument {
  const run_id = overrides.run_id ?? "run-00001";
  const reference = (key: string) => ({ key, sha256: sha256OfText(key), bytes: 10 });
  return {
    format_version: formatVersion,
    backup_id: backupId,
    run_id,
    cluster: reference(clusterDocumentKey(run_id)),
    lists: [{ topic: "orders", ...reference(runListKey(run_id, "orders")) }],
    ...overrides,
  };
}

export function clusterDocumentOf(): ClusterDocument {
  return {
    format_version: formatVersion,
    cluster_id: clusterId,
    read_at: plannedAt,
    topics: [
      {
        name: "orders",
        topic_id: topicId,
        partition_count: 1,
        replication_factor: 3,
        config: { "cleanup.policy": "compact" },
      },
    ],
    consumer_groups: {
      billing: { partitions: { "orders-0": { offset: 2n ** 60n, metadata: "", leader_epoch: 4 } } },
    },
    unread_groups: [{ group: "audit", reason: "GROUP_AUTHORIZATION_FAILED" }],
  };
}

export function lineageOf(overrides: Partial<LineageState> = {}): LineageState {
  return {
    lineage: 1,
    topic_id: topicId,
    first_planned_at: plannedAt,
    last_planned_at: plannedAt,
    start_offset: 0n,
    next_offset: 10n,
    last_leader_epoch: 0,
    max_timestamp: plannedAt,
    totals: { ...noTotals, segment_count: 1, batch_count: 1, record_count: 10 },
    dropped: { aborted: 0, control: 0, empty: 0 },
    gaps: [],
    ...overrides,
  };
}

export function checkpointOf(sequence: number): Checkpoint {
  const start = BigInt(10 * sequence);
  return {
    sequence,
    written_at: plannedAt,
    lineage: 1,
    topic_id: topicId,
    start_offset: 0n,
    next_offset: start + 10n,
    last_leader_epoch: 0,
    segments: [segmentOf(start, start + 9n)],
    gaps: [],
    dropped: { aborted: 1, control: 0, empty: 0 },
  };
}

export function snapshotSummaryOf(
  snapshot_id: string,
  overrides: Partial<SnapshotSummary> = {},
): SnapshotSummary {
  return {
    snapshot_id,
    description: "",
    created_at: new Date(Number(plannedAt)).toISOString(),
    cluster_id: clusterId,
    all_groups: true,
    safety: false,
    group_count: 1,
    position_count: 2,
    unread_group_count: 0,
    bytes: 100,
    ...overrides,
  };
}
