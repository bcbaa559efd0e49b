/** The partitions of a restore, several at a time; a failure of one is a result of that one. */
import pLimit from "p-limit";
import type { z } from "zod";
import type { PartitionFailure } from "#core/partition-failure.ts";
import {
  type RestoreDeps,
  type RestorePartitionRequest,
  restorePartitionRequest,
  type VerifyCursor,
  type VerifyPartitionOutcome,
} from "#core/restore/contract.ts";
import type {
  PartitionResult,
  RestoreIntent,
  RestoreTarget,
  TopicPlan,
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

/** What differs from partition to partition of one restore. */
export const restoreWork = restorePartitionRequest.pick({
  source_topic: true,
  source_partition: true,
  lineage: true,
  target_topic: true,
  target_partition: true,
  target_topic_id: true,
  max_message_bytes: true,
});
export type RestoreWork = z.infer<typeof restoreWork>;

/** What all partitions of one restore have in common. */
export type RestoreInCommon = Pick<
  RestorePartitionRequest,
  | "backup_id"
  | "restore_id"
  | "manifest"
  | "window"
  | "include_offset_headers"
  | "checkpoint_interval_ms"
>;

/** All partitions of a topic. */
export function partitionWorks(plan: TopicPlan, target: RestoreTarget): RestoreWork[] {
  return plan.partitions.map(({ source_partition, target_partition, lineage }) => ({
    source_topic: plan.source_topic,
    source_partition,
    lineage,
    target_topic: plan.target_topic,
    target_partition,
    target_topic_id: target.topic_id,
    max_message_bytes: maxMessageBytesDuring(plan, target),
  }));
}

export function partitionRequest(
  inCommon: RestoreInCommon,
  work: RestoreWork,
): RestorePartitionRequest {
  const { backup_id, restore_id, manifest, window, include_offset_headers } = inCommon;
  const { checkpoint_interval_ms } = inCommon;
  return {
    ...{ backup_id, restore_id, manifest, window, include_offset_headers },
    checkpoint_interval_ms,
    ...work,
  };
}

/** The requests of all partitions of a topic. */
export function partitionRequests(
  intent: RestoreIntent,
  plan: TopicPlan,
  target: RestoreTarget,
  checkpoint_interval_ms: number,
): RestorePartitionRequest[] {
  const inCommon = { ...intent, checkpoint_interval_ms };
  return partitionWorks(plan, target).map((work) => partitionRequest(inCommon, work));
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

/** The same of its verification. */
export async function verifyWhole(
  deps: RestoreDeps,
  record: RestoreRecord,
  request: RestorePartitionRequest,
  deadline: Deadline,
): Promise<true | undefined> {
  const { status } = await verifyOnce(deps, record, request, undefined, deadline);
  return status === "verified" ? true : requirePassed(request, deadline);
}

/**
 * Verifies the partition, from `cursor` on, unless an earlier attempt did: once its topic is
 * finished, compaction and producers may change it.
 */
export async function verifyOnce(
  deps: RestoreDeps,
  record: RestoreRecord,
  request: RestorePartitionRequest,
  cursor: VerifyCursor | undefined,
  deadline: Deadline,
): Promise<VerifyPartitionOutcome> {
  const at = { topic: request.target_topic, partition: request.target_partition };
  const earlier = await record.verified(at);
  if (earlier !== undefined) return { status: "verified", record_count: earlier.record_count };
  const outcome = await verifyPartition(deps, { ...request, cursor }, deadline);
  if (outcome.status === "continue") return outcome;
  const { record_count } = outcome;
  await record.writeVerified(at, { record_count, verified_at: BigInt(deps.clock.nowMs()) });
  return outcome;
}

/** A worker that stops for any other reason than the deadline is a bug that would go unseen. */
function requirePassed(request: RestorePartitionRequest, deadline: Deadline): undefined {
  if (deadline.passed()) return undefined;
  const { target_topic, target_partition } = request;
  throw new Error(`worker of ${target_topic}-${target_partition} stopped before its deadline`);
}
