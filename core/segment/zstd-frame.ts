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
const frameHeaderBytes = 10;
const blockHeaderBytes = 3;
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

/** A frame of raw blocks: full ones but for the last, which says so; one empty block of nothing. */
export function storeZstd(pieces: Pieces, rawBytes: number): Pieces {
  const blocks = cutIntoBlocks(pieces, rawBlockBytesMax);
  const frame: Buffer[] = [storedFrameHeader(rawBytes)];
  for (let number = 0; number < storedBlockCount(rawBytes); number++) {
    const header = Buffer.alloc(blockHeaderBytes);
    header.writeUIntLE(storedBlockHeader(number, rawBytes), 0, blockHeaderBytes);
    frame.push(header, ...(blocks[number] ?? []));
  }
  return frame;
}

/** May move the content together in the memory of `frame`. */
export async function decompressZstd(frame: Buffer, rawBytes: number): Promise<Buffer> {
  return takeStored(frame, rawBytes) ?? zstdDecompress(frame, boundedTo(rawBytes));
}

/**
 * The content of a frame that is exactly as `storeZstd` writes it, moved together in the frame's
 * own memory: a fifth of zlib's time, and no second buffer. Any other frame is left as it is, for
 * zlib to judge.
 */
function takeStored(frame: Buffer, rawBytes: number): Buffer | undefined {
  const blockCount = storedBlockCount(rawBytes);
  const frameBytes = frameHeaderBytes + blockCount * blockHeaderBytes + rawBytes;
  if (frame.length !== frameBytes) return undefined;
  if (!frame.subarray(0, frameHeaderBytes).equals(storedFrameHeader(rawBytes))) return undefined;
  const blockAt = (number: number) =>
    frameHeaderBytes + number * (blockHeaderBytes + rawBlockBytesMax);
  for (let number = 0; number < blockCount; number++) {
    const header = frame.readUIntLE(blockAt(number), blockHeaderBytes);
    if (header !== storedBlockHeader(number, rawBytes)) return undefined;
  }
  for (let number = 0; number < blockCount; number++) {
    const start = blockAt(number) + blockHeaderBytes;
    const to = frameHeaderBytes + number * rawBlockBytesMax;
    frame.copyWithin(to, start, start + rawBlockBytesMax);
  }
  return frame.subarray(frameHeaderBytes, frameHeaderBytes + rawBytes);
}

function storedFrameHeader(rawBytes: number): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32LE(0xfd2fb528, 0);
  header.writeUInt8(descriptor, 4);
  header.writeUInt8(windowDescriptor, 5);
  header.writeUInt32LE(rawBytes, 6);
  return header;
}

function storedBlockCount(rawBytes: number): number {
  return Math.max(Math.ceil(rawBytes / rawBlockBytesMax), 1);
}

function storedBlockHeader(number: number, rawBytes: number): number {
  const size = Math.min(rawBytes - number * rawBlockBytesMax, rawBlockBytesMax);
  const isLast = number === storedBlockCount(rawBytes) - 1;
  return (size << 3) | (isLast ? 1 : 0);
}
