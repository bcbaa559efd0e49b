/** Record batches of some MB whose bodies decompress to GBs. */
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { compressBody } from "#core/kafka/batch-compression.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import {
  attributesOffset,
  batchHeaderBytes,
  crcOffset,
  logOverheadBytes,
} from "#core/kafka/record-batch.ts";
import { syntheticBatch } from "#test/support/synthetic-backup.ts";

const mebibyte = 1024 * 1024;
const piece = Buffer.alloc(16 * mebibyte);

/** Each by its codec's number in a batch's attributes: as far as the codec shrinks zeros. */
export const bombs = {
  /** 4 GiB in members of 16 MiB. */
  gzip: { number: 1, body: () => repeated(gzipSync(piece), 256) },
  /** 320 MiB: snappy shrinks to a twentieth at most, and nobody stores a batch of 100 MB. */
  snappy: { number: 2, body: () => snappyBody(20) },
  /** 4 GiB that say what they hold in each block alone. */
  lz4: { number: 3, body: () => lz4Body(256) },
  /** 4 GiB in frames that do not say what they hold. */
  zstd: { number: 4, body: () => repeated(zstdFrameOfUnknownSize(), 256) },
} as const;

export type BombCodec = keyof typeof bombs;

/** A batch at offset 0 that says it has one record; its length and its CRC are right. */
export function bombBatch(codec: BombCodec): Buffer {
  const { number, body } = bombs[codec];
  const header = syntheticBatch(0n, [{ value: "x" }]).subarray(0, batchHeaderBytes);
  const batch = Buffer.concat([header, body()]);
  batch.writeInt32BE(batch.length - logOverheadBytes, 8);
  batch.writeInt16BE(number, attributesOffset);
  batch.writeUInt32BE(crc32c(batch.subarray(attributesOffset)), crcOffset);
  return batch;
}

function repeated(bytes: Buffer, times: number): Buffer {
  return Buffer.concat(Array<Buffer>(times).fill(bytes));
}

function snappyBody(times: number): Buffer {
  const stream = compressBody("snappy", piece);
  return repeated(stream, times);
}

/** Blocks of one frame again and again, between its header and its end mark. */
function lz4Body(times: number): Buffer {
  const frame = compressBody("lz4", piece);
  const headerBytes = 7;
  const endMarkBytes = 4;
  const blocks = frame.subarray(headerBytes, -endMarkBytes);
  return Buffer.concat([
    frame.subarray(0, headerBytes),
    repeated(blocks, times),
    frame.subarray(-endMarkBytes),
  ]);
}

function zstdFrameOfUnknownSize(): Buffer {
  return zstdCompressSync(piece, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
}
