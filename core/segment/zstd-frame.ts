/**
 * Zstandard frames (RFC 8878).
 *
 *   Frame => Magic_Number 28 B5 2F FD, Frame_Header, Block*
 *   Block => header of 3 bytes, little-endian: bit 0 last, bits 1-2 type (0 raw), 3-23 size; data
 */
import { promisify } from "node:util";
import zlib from "node:zlib";
import { cutIntoBlocks, type Pieces } from "#core/segment/pieces.ts";
import { boundedTo, outputChunkBytes, runThrough } from "#core/segment/zlib-stream.ts";

const zstdDecompress = promisify(zlib.zstdDecompress);

/** Block_Maximum_Size: the smaller of the window and 128 KiB. */
const rawBlockBytesMax = 128 * 1024;
/** Frame_Header_Descriptor: Frame_Content_Size of 4 bytes, no checksum, no dictionary. */
const descriptor = 0x80;
/**
 * Window_Descriptor of 128 KiB: 2^(10 + 7), exponent in the upper 5 bits. A window, not the
 * single-segment flag: raw blocks look nowhere back, so readers need no more memory than a block.
 */
const windowDescriptor = 7 << 3;

/** `level` 1 to 22. */
export async function compressZstd(
  pieces: Pieces,
  rawBytes: number,
  level: number,
): Promise<Pieces> {
  const stream = zlib.createZstdCompress({
    chunkSize: outputChunkBytes,
    pledgedSrcSize: rawBytes,
    params: { [zlib.constants.ZSTD_c_compressionLevel]: level },
  });
  return runThrough(stream, pieces);
}

/** A frame of raw blocks. */
export function storeZstd(pieces: Pieces, rawBytes: number): Pieces {
  const header = Buffer.alloc(10);
  header.writeUInt32LE(0xfd2fb528, 0);
  header.writeUInt8(descriptor, 4);
  header.writeUInt8(windowDescriptor, 5);
  header.writeUInt32LE(rawBytes, 6);
  const frame: Buffer[] = [header];
  const blocks = cutIntoBlocks(pieces, rawBlockBytesMax);
  // A frame ends with a block that says so: an empty one where there is no content.
  if (blocks.length === 0) blocks.push([]);
  let left = rawBytes;
  for (const [index, block] of blocks.entries()) {
    const size = Math.min(left, rawBlockBytesMax);
    const isLast = index === blocks.length - 1;
    const blockHeader = Buffer.alloc(3);
    blockHeader.writeUIntLE((size << 3) | (isLast ? 1 : 0), 0, 3);
    frame.push(blockHeader, ...block);
    left -= size;
  }
  return frame;
}

export function decompressZstd(frame: Buffer, rawBytes: number): Promise<Buffer> {
  return zstdDecompress(frame, boundedTo(rawBytes));
}
