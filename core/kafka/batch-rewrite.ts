/** What a restore changes of a record batch: its header, never its body. */
import { patchCrc32c } from "#core/kafka/crc32c.ts";
import {
  attributesOffset,
  codecMask,
  crcOffset,
  isDense,
  isLogAppendTime,
  logAppendTimeBit,
  logOverheadBytes,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";

/** Who sends a batch: a producer id of the target cluster and the batch's place in its stream. */
export interface ProducerFields {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Sequence number of the first record, 0 to 2^31 - 1. */
  readonly baseSequence: number;
}

/** What stays of the attributes: all else is the source's log's own, or reserved. */
const keptAttributes = codecMask | logAppendTimeBit;

const partitionLeaderEpochOffset = 12;
const producerIdOffset = 43;
const producerEpochOffset = 51;
const baseSequenceOffset = 53;
/** All that changes of what the CRC covers lies from the attributes to here. */
const changedEnd = 57;

/** Old XOR new of the changed bytes; filled and used within one call. */
const difference = Buffer.alloc(changedEnd - attributesOffset);

/**
 * Makes the batch at `position` one that a producer sends, in place: base offset 0, leader epoch
 * -1, the given producer's fields, and the transactional, control, delete horizon and reserved
 * bits cleared. The CRC is patched for the change, not computed anew, so that a body damaged
 * since its own producer wrote it is still refused by the broker. The caller owns the buffer and
 * has chosen the batch: not a control batch, not an empty one, and none that `mustReencode`.
 */
export function rewriteHeader(buffer: Buffer, position: number, producer: ProducerFields): void {
  const start = position + attributesOffset;
  const end = position + changedEnd;
  buffer.copy(difference, 0, start, end);
  const attributes = buffer.readInt16BE(start) & keptAttributes;

  buffer.writeBigInt64BE(0n, position);
  buffer.writeInt32BE(-1, position + partitionLeaderEpochOffset);
  buffer.writeInt16BE(attributes, start);
  buffer.writeBigInt64BE(producer.producerId, position + producerIdOffset);
  buffer.writeInt16BE(producer.producerEpoch, position + producerEpochOffset);
  buffer.writeInt32BE(producer.baseSequence, position + baseSequenceOffset);

  for (let i = 0; i < difference.length; i++) difference[i]! ^= buffer[start + i]!;
  const bytesAfter = position + logOverheadBytes + buffer.readInt32BE(position + 8) - end;
  const crc = buffer.readUInt32BE(position + crcOffset);
  buffer.writeUInt32BE(patchCrc32c(crc, difference, bytesAfter), position + crcOffset);
}

/**
 * Whether the body, sent as it is, would come back changed or be refused:
 * - with holes between its offsets, as compaction leaves them: brokers want dense offsets;
 * - with LogAppendTime: a topic with CreateTime would show the records' create times, which no
 *   consumer of the source ever saw.
 *
 * A delete horizon (KIP-534) is no reason. The log cleaner then writes the horizon into
 * BaseTimestamp and counts the records' deltas from it (MemoryRecordsBuilder takes the horizon
 * for its base; DefaultRecord adds the delta to BaseTimestamp, whatever the bit says). With the
 * bit cleared and BaseTimestamp kept, every record keeps its timestamp.
 */
export function mustReencode(header: RecordBatchHeader): boolean {
  return !isDense(header) || isLogAppendTime(header);
}
