/** The record batches that a partition holds, without what each restore writes into them itself. */
import { createHash } from "node:crypto";
import type { Cluster, TopicPartition } from "#core/kafka/cluster.ts";
import { batchSizeAt, readBatchHeader } from "#core/kafka/record-batch.ts";

export interface SentBatch {
  readonly baseOffset: bigint;
  readonly sizeInBytes: number;
  /** SHA-256 of its bytes but for leader epoch, CRC, producer and sequence. */
  readonly sha256: string;
}

/** In the order of the log; transactional markers of a source are among them. */
export async function batchesOf(cluster: Cluster, at: TopicPartition): Promise<SentBatch[]> {
  const { endOffset } = await cluster.logEndOffset(at);
  const batches: SentBatch[] = [];
  for (let offset = 0n; offset < endOffset; ) {
    const { records } = await cluster.fetch({
      ...at,
      fetchOffset: offset,
      currentLeaderEpoch: -1,
      maxBytes: 4 * 1024 * 1024,
      minBytes: 1,
      maxWaitMs: 500,
      isolation: "read_uncommitted",
    });
    for (let position = 0; batchSizeAt(records, position) !== undefined; ) {
      const { baseOffset, lastOffsetDelta, sizeInBytes } = readBatchHeader(records, position);
      const bytes = Buffer.from(records.subarray(position, position + sizeInBytes));
      bytes.fill(0, leaderEpochStart, leaderEpochEnd).fill(0, crcStart, crcEnd);
      bytes.fill(0, producerIdStart, recordCountStart);
      batches.push({
        baseOffset,
        sizeInBytes,
        sha256: createHash("sha256").update(bytes).digest("hex"),
      });
      position += sizeInBytes;
      offset = baseOffset + BigInt(lastOffsetDelta) + 1n;
    }
  }
  return batches;
}

const leaderEpochStart = 12;
const leaderEpochEnd = 16;
const crcStart = 17;
const crcEnd = 21;
/** Producer id, epoch, sequence. */
const producerIdStart = 43;
const recordCountStart = 57;
