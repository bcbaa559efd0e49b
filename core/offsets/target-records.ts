/** Reads records of the target as a read_committed consumer sees them, one partition in one pass. */
import { BackupError } from "#core/errors.ts";
import { AbortedTransactionFilter } from "#core/kafka/aborted-transactions.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import type { Cluster, FetchedPartition, OffsetSpec, TopicPartition } from "#core/kafka/cluster.ts";
import { withRecordBatches } from "#core/kafka/message-sets.ts";
import { batchHeaderBytes, batchSizeAt, lastOffsetOf } from "#core/kafka/record-batch.ts";
import { RecordCursor } from "#core/kafka/records.ts";
import { settingsOf } from "#core/kafka/settings-of.ts";
import type { OffsetStrategy } from "#core/offsets/contract.ts";
import type { StrategyDeps } from "#core/offsets/strategies/strategy.ts";
import type { Deadline } from "#core/runtime.ts";

/** Four requests' worth of a consumer (max.partition.fetch.bytes): what a reader holds. */
const fetchBytesMax = 4 * 1024 * 1024;
const fetchWaitMs = 500;
/** Empty answers one after the other, 10 s, after which there is nothing more to come. */
const emptyAnswersMax = 20;

/** Partitions read at once: together they hold some 30 MiB, fetched and decompressed. */
export const concurrentPartitions = 4;

/** Offsets `[from, to)`. */
export interface TargetRange extends TopicPartition {
  readonly from: bigint;
  readonly to: bigint;
}

/** The target cluster of a strategy that must read it. Throws InvalidRequestError without one. */
export function targetOf({ cluster }: StrategyDeps, strategy: OffsetStrategy): Cluster {
  if (cluster !== undefined) return cluster;
  throw new BackupError(
    "InvalidRequestError",
    `strategy ${strategy} reads the target cluster, and none is named`,
    { hint: "Name it with --bootstrap-servers, or use strategy offset-map, which needs none." },
  );
}

/** ListOffsets of one partition; -1 where no record has the timestamp or a later one. */
export async function offsetAt(
  cluster: Cluster,
  { topic, partition }: TopicPartition,
  at: OffsetSpec,
): Promise<bigint> {
  const [answer] = await cluster.listOffsets([{ topic, partition }], at);
  if (answer === undefined) throw new Error(`ListOffsets did not answer for ${topic}-${partition}`);
  if ("error" in answer) throw answer.error;
  return answer.offset;
}

/**
 * Calls `visit` with each record of the range that the log still holds, in order, until it
 * returns "stop". The cursor is only valid during the call. Throws what the cluster throws,
 * CorruptRecordBatchError, and CancelledError when the deadline comes first.
 */
export async function forEachTargetRecord(
  cluster: Cluster,
  range: TargetRange,
  deadline: Deadline,
  visit: (record: RecordCursor) => "stop" | undefined,
): Promise<void> {
  const earliest = await offsetAt(cluster, range, "earliest");
  let offset = earliest > range.from ? earliest : range.from;
  let emptyAnswers = 0;
  while (offset < range.to) {
    refusePassed(range, deadline);
    const fetched = await cluster.fetch({
      topic: range.topic,
      partition: range.partition,
      fetchOffset: offset,
      currentLeaderEpoch: -1,
      maxBytes: fetchBytesMax,
      minBytes: 1,
      maxWaitMs: fetchWaitMs,
      isolation: "read_committed",
    });
    // A target whose brokers are older than record batches, or keep their formats, has those.
    const records = withRecordBatches(fetched.records, range, { border: range.to });
    const next = visitBatches({ ...fetched, records }, { ...range, from: offset }, visit);
    if (next === "stop") return;
    const isEmpty = next === offset && fetched.throttleTimeMs === 0;
    emptyAnswers = isEmpty ? emptyAnswers + 1 : 0;
    offset = next;
    if (emptyAnswers === emptyAnswersMax) return refuseUnread(cluster, range, offset);
  }
}

/** Where the next fetch begins. */
function visitBatches(
  { records, abortedTransactions }: FetchedPartition,
  range: TargetRange,
  visit: (record: RecordCursor) => "stop" | undefined,
): bigint | "stop" {
  const transactions = new AbortedTransactionFilter(abortedTransactions, range);
  let next = range.from;
  for (let position = 0; next < range.to; ) {
    const size = batchSizeAt(records, position);
    if (size === undefined) break;
    const header = checkBatch(records, position, range);
    const verdict = transactions.classify(header, records, position);
    if (verdict === "keep" && header.recordCount > 0 && lastOffsetOf(header) >= next) {
      const body = bodyOf(header, records, position, range, batchBodyBytesMax);
      const cursor = new RecordCursor(header, body, range);
      while (cursor.next()) {
        const { offset } = cursor;
        if (offset < range.from || offset >= range.to) continue;
        if (visit(cursor) === "stop") return "stop";
      }
    }
    position += Math.max(size, batchHeaderBytes);
    if (lastOffsetOf(header) >= next) next = lastOffsetOf(header) + 1n;
  }
  return next;
}

/**
 * Compaction may have removed all up to the end. A broker whose remote storage is slow also
 * answers with nothing and without an error (KIP-405); such topics are never compacted.
 */
async function refuseUnread(cluster: Cluster, at: TopicPartition, offset: bigint): Promise<void> {
  const settings = await settingsOf(cluster, at.topic);
  const remote = settings.find(({ name }) => name === "remote.storage.enable");
  if (remote?.value !== "true") return;
  throw new BackupError(
    "BrokerUnavailableError",
    `${at.topic}-${at.partition}: no record batch at offset ${offset} for ` +
      `${(emptyAnswersMax * fetchWaitMs) / 1000} s, though the log goes on`,
  );
}

/** For work that cannot be continued later: it begins anew. */
export function refusePassed({ topic, partition }: TopicPartition, deadline: Deadline): void {
  deadline.signal.throwIfAborted();
  if (!deadline.passed()) return;
  const message = `the deadline came before ${topic}-${partition} was read`;
  throw new BackupError("CancelledError", message, { hint: "Nothing was changed: run it again." });
}
