/** The partitions of a restore, several at a time; a failure of one is a result of that one. */
import pLimit from "p-limit";
import type { PartitionFailure } from "#core/partition-failure.ts";
import type { RestoreDeps, RestorePartitionRequest } from "#core/restore/contract.ts";
import type {
  PartitionResult,
  RestoreIntent,
  RestoreTarget,
  TopicPlan,
  VerifiedPartition,
} from "#core/restore/documents.ts";
import { restorePartition } from "#core/restore/partition.ts";
import type { RestoreRecord } from "#core/restore/restore-record.ts";
import { maxMessageBytesDuring } from "#core/restore/topic-settings.ts";
import { verifyPartition } from "#core/restore/verify.ts";
import type { Deadline } from "#core/runtime.ts";

export interface PartitionRuns<Outcome> {
  readonly done: readonly Outcome[];
  /** Target partitions that could not be restored or verified. */
  readonly failed: readonly PartitionFailure[];
}

/** The requests of all partitions of a topic. */
export function partitionRequests(
  intent: RestoreIntent,
  plan: TopicPlan,
  target: RestoreTarget,
  checkpointIntervalMs: number,
): RestorePartitionRequest[] {
  return plan.partitions.map(({ source_partition, target_partition, lineage }) => ({
    backup_id: intent.backup_id,
    restore_id: intent.restore_id,
    manifest: intent.manifest,
    window: intent.window,
    include_offset_headers: intent.include_offset_headers,
    source_topic: plan.source_topic,
    source_partition,
    lineage,
    target_topic: plan.target_topic,
    target_partition,
    target_topic_id: target.topic_id,
    max_message_bytes: maxMessageBytesDuring(plan, target),
    checkpoint_interval_ms: checkpointIntervalMs,
  }));
}

/** Runs `work` for each request; those that the deadline comes before are in neither list. */
export async function runPartitions<Outcome>(
  { onProgress }: Pick<RestoreDeps, "onProgress">,
  requests: readonly RestorePartitionRequest[],
  concurrentPartitions: number,
  deadline: Deadline,
  work: (request: RestorePartitionRequest) => Promise<Outcome | undefined>,
): Promise<PartitionRuns<Outcome>> {
  const limit = pLimit(concurrentPartitions);
  const done: Outcome[] = [];
  const failed: PartitionFailure[] = [];
  const run = async (request: RestorePartitionRequest) => {
    if (deadline.passed()) return;
    const at = { topic: request.target_topic, partition: request.target_partition };
    try {
      const outcome = await work(request);
      if (outcome === undefined) return;
      done.push(outcome);
      onProgress?.({ kind: "finished", ...at });
    } catch (cause) {
      failed.push({ ...at, cause });
    }
  };
  await Promise.all(requests.map((request) => limit(run, request)));
  return { done, failed };
}

/** Undefined when the deadline came first. */
export async function restoreWhole(
  deps: RestoreDeps,
  request: RestorePartitionRequest,
  deadline: Deadline,
): Promise<PartitionResult | undefined> {
  const outcome = await restorePartition(deps, request, deadline);
  if (outcome.status === "done") return outcome.result;
  return requirePassed(request, deadline);
}

/**
 * Verifies the partition unless an earlier attempt did: once its topic is finished, compaction and
 * producers may change it. Undefined when the deadline came first.
 */
export async function verifyOnce(
  deps: RestoreDeps,
  record: RestoreRecord,
  request: RestorePartitionRequest,
  deadline: Deadline,
): Promise<VerifiedPartition | undefined> {
  const at = { topic: request.target_topic, partition: request.target_partition };
  const earlier = await record.verified(at);
  if (earlier !== undefined) return earlier;
  const outcome = await verifyPartition(deps, request, deadline);
  if (outcome.status === "continue") return requirePassed(request, deadline);
  const verified = {
    record_count: outcome.record_count,
    verified_at: BigInt(deps.clock.nowMs()),
  };
  await record.writeVerified(at, verified);
  return verified;
}

/** A worker that stops for any other reason than the deadline is a bug that would go unseen. */
function requirePassed(request: RestorePartitionRequest, deadline: Deadline): undefined {
  if (deadline.passed()) return undefined;
  const { target_topic, target_partition } = request;
  throw new Error(`worker of ${target_topic}-${target_partition} stopped before its deadline`);
}
