/**
 * A view of record batches (magic 2, KIP-98) as they lie in a buffer. Only headers are read.
 *
 *   RecordBatch =>
 *     BaseOffset           INT64   0     LastOffsetDelta  INT32  23
 *     BatchLength          INT32   8     BaseTimestamp    INT64  27
 *     PartitionLeaderEpoch INT32  12     MaxTimestamp     INT64  35
 *     Magic                INT8   16     ProducerId       INT64  43
 *     CRC                  UINT32 17     ProducerEpoch    INT16  51
 *     Attributes           INT16  21     BaseSequence     INT32  53
 *                                        RecordCount      INT32  57
 *     Records              compressed by the codec of Attributes, from 61
 *
 * BatchLength counts the bytes after itself; the CRC-32C covers Attributes to the end.
 */

export const batchHeaderBytes = 61;
/** BaseOffset and BatchLength: what precedes the bytes that BatchLength counts. */
export const logOverheadBytes = 12;
export const crcOffset = 17;
export const attributesOffset = 21;

export const codecMask = 0x07;
export const logAppendTimeBit = 1 << 3;
export const transactionalBit = 1 << 4;
export const controlBit = 1 << 5;
export const deleteHorizonBit = 1 << 6;

export const batchCodecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type BatchCodec = (typeof batchCodecs)[number];

export interface RecordBatchHeader {
  readonly baseOffset: bigint;
  /** Bytes of the whole batch, header included. */
  readonly sizeInBytes: number;
  readonly partitionLeaderEpoch: number;
  readonly magic: number;
  readonly crc: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  /** The first record's timestamp; the delete horizon where that attribute is set. */
  readonly baseTimestamp: bigint;
  readonly maxTimestamp: bigint;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/**
 * Bytes of the batch at `position`, or undefined when the buffer ends before the batch does (a
 * fetch may end in a part of a batch).
 */
export function batchSizeAt(buffer: Buffer, position: number): number | undefined {
  if (buffer.length - position < logOverheadBytes) return undefined;
  const size = logOverheadBytes + buffer.readInt32BE(position + 8);
  return position + size <= buffer.length ? size : undefined;
}

/** Reads the header at `position`, where at least `batchHeaderBytes` follow. Checks nothing. */
export function readBatchHeader(buffer: Buffer, position = 0): RecordBatchHeader {
  return {
    baseOffset: buffer.readBigInt64BE(position),
    sizeInBytes: logOverheadBytes + buffer.readInt32BE(position + 8),
    partitionLeaderEpoch: buffer.readInt32BE(position + 12),
    magic: buffer.readInt8(position + 16),
    crc: buffer.readUInt32BE(position + crcOffset),
    attributes: buffer.readInt16BE(position + attributesOffset),
    lastOffsetDelta: buffer.readInt32BE(position + 23),
    baseTimestamp: buffer.readBigInt64BE(position + 27),
    maxTimestamp: buffer.readBigInt64BE(position + 35),
    producerId: buffer.readBigInt64BE(position + 43),
    producerEpoch: buffer.readInt16BE(position + 51),
    baseSequence: buffer.readInt32BE(position + 53),
    recordCount: buffer.readInt32BE(position + 57),
  };
}

/** The offset of the batch's last record, or of where it was before compaction removed it. */
export function lastOffsetOf(header: RecordBatchHeader): bigint {
  return header.baseOffset + BigInt(header.lastOffsetDelta);
}

/** The codec of the batch's records, or undefined for a number that Kafka has not assigned. */
export function codecOf(header: RecordBatchHeader): BatchCodec | undefined {
  return batchCodecs[header.attributes & codecMask];
}

export function isLogAppendTime(header: RecordBatchHeader): boolean {
  return (header.attributes & logAppendTimeBit) !== 0;
}

export function isTransactional(header: RecordBatchHeader): boolean {
  return (header.attributes & transactionalBit) !== 0;
}

export function isControl(header: RecordBatchHeader): boolean {
  return (header.attributes & controlBit) !== 0;
}

export function hasDeleteHorizon(header: RecordBatchHeader): boolean {
  return (header.attributes & deleteHorizonBit) !== 0;
}

/** True where no offset between the batch's first and last is missing. */
export function isDense(header: RecordBatchHeader): boolean {
  return header.recordCount === header.lastOffsetDelta + 1;
}
