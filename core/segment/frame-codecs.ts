/**
 * How a segment's frames are written. A frame is complete in the standard frame format of its
 * codec, so that the usual tool gives the batches of a whole segment back.
 */
import { BackupError } from "#core/errors.ts";
import { defaultLevel, type FrameCodec } from "#core/segment/codecs.ts";
import { compressGzip, decompressGzip, storeGzip } from "#core/segment/gzip-frame.ts";
import { compressLz4, decompressLz4, storeLz4 } from "#core/segment/lz4-frame.ts";
import { lengthOf, type Pieces } from "#core/segment/pieces.ts";
import { compressSnappy, decompressSnappy, storeSnappy } from "#core/segment/snappy-frame.ts";
import { compressZstd, decompressZstd, storeZstd } from "#core/segment/zstd-frame.ts";
import type { SegmentExtension } from "#core/storage/keys.ts";

/**
 * Bytes of the largest record batch that a segment takes. Brokers accept no request above
 * socket.request.max.bytes, 100 MiB by default; this leaves room for one raised to twice that.
 */
export const batchBytesMax = 256 * 1024 * 1024;
/**
 * Bytes of the largest frame, compressed or not, that is read back, whatever an index says: the
 * largest batch, and 1 MiB for the headers of a stored frame (at most 8 bytes in 64 KiB: snappy).
 */
export const frameBytesMax = batchBytesMax + 1024 * 1024;

export interface FrameFormat {
  /** Of the segment's key. */
  readonly extension: SegmentExtension;
  /** One frame of `rawBytes` bytes, compressed in the threadpool. */
  compress(pieces: Pieces, rawBytes: number, level: number): Promise<Pieces>;
  /** One frame of the same format that holds the bytes as they are; slices, not copies. */
  store(pieces: Pieces, rawBytes: number): Pieces;
  /**
   * May leave the content in the frame's own memory. Throws when the frame is malformed, and
   * before it allocates much more than `rawBytes`.
   */
  decompress(frame: Buffer, rawBytes: number): Promise<Buffer>;
}

export const frameFormats: Readonly<Record<FrameCodec, FrameFormat>> = {
  zstd: {
    extension: "zst",
    compress: compressZstd,
    store: storeZstd,
    decompress: decompressZstd,
  },
  lz4: {
    extension: "lz4",
    compress: compressLz4,
    store: storeLz4,
    decompress: decompressLz4,
  },
  gzip: {
    extension: "gz",
    compress: compressGzip,
    store: storeGzip,
    decompress: decompressGzip,
  },
  snappy: {
    extension: "sz",
    compress: compressSnappy,
    store: storeSnappy,
    decompress: decompressSnappy,
  },
  none: {
    extension: "log",
    compress: async (pieces) => pieces,
    store: (pieces) => pieces,
    decompress: async (frame) => frame,
  },
};

/** A compressed frame of `pieces`, or a stored one where compressing does not make it smaller. */
export async function compressFrame(
  codec: FrameCodec,
  pieces: Pieces,
  level: number = defaultLevel(codec),
): Promise<Pieces> {
  const rawBytes = lengthOf(pieces);
  const compressed = await frameFormats[codec].compress(pieces, rawBytes, level);
  return lengthOf(compressed) < rawBytes ? compressed : storeFrame(codec, pieces);
}

/** A frame of `pieces` as they are. */
export function storeFrame(codec: FrameCodec, pieces: Pieces): Pieces {
  return frameFormats[codec].store(pieces, lengthOf(pieces));
}

/**
 * The content of one frame, which is `rawBytes` long. Takes over `frame`: its memory may hold the
 * content afterwards. `where` names the frame in messages. Throws CorruptSegmentError when the
 * frame is malformed, holds more or less, or is said to hold more than `frameBytesMax`.
 */
export async function decompressFrame(
  codec: FrameCodec,
  frame: Buffer,
  rawBytes: number,
  where = "frame",
): Promise<Buffer> {
  if (rawBytes > frameBytesMax || frame.length > frameBytesMax) {
    const reason = `${frame.length} bytes for ${rawBytes} are beyond the limit of ${frameBytesMax}`;
    throw new BackupError("CorruptSegmentError", `${where}: ${reason}`);
  }
  let content: Buffer;
  try {
    content = await frameFormats[codec].decompress(frame, rawBytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BackupError(
      "CorruptSegmentError",
      `${where}: not a ${codec} frame of ${rawBytes} bytes: ${reason}`,
      { cause: error },
    );
  }
  if (content.length !== rawBytes) {
    throw new BackupError(
      "CorruptSegmentError",
      `${where}: ${codec} frame holds ${content.length} bytes, ${rawBytes} were expected`,
    );
  }
  return content;
}
