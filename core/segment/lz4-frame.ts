/**
 * LZ4 frames (LZ4 Frame Format Description 1.6.4), with independent blocks and the content size,
 * without checksums: SHA-256 of the frame and the batches' CRC-32C are better ones.
 *
 *   Frame => Magic UINT32LE 184D2204, FLG INT8, BD INT8, ContentSize UINT64LE, HC INT8,
 *            Block*, EndMark UINT32LE 0
 *   Block => size UINT32LE, bit 31 set where the data is not compressed; data
 */
import { compress, uncompress } from "lz4-napi";
import { contiguous, cutIntoBlocks, lengthOf, type Pieces } from "#core/segment/pieces.ts";

const magic = 0x184d2204;
/** Version 01 in bits 7-6, independent blocks (5), content size (3). */
const flags = 0x68;
const headerBytes = 15;
const endMark = Buffer.alloc(4);
const uncompressedBit = 0x8000_0000;

/** BD holds a code for the largest block: 4 to 7 are 64 KiB, 256 KiB, 1 MiB, 4 MiB. */
const blockBytesMaxOfCode = (code: number) => 1 << (2 * code + 8);
/** Of a compressed frame: blocks are compressed side by side in the threadpool. */
const compressedBlockCode = 6;
/** Of a stored frame: the fewest block headers. */
const storedBlockCode = 7;

export async function compressLz4(pieces: Pieces, rawBytes: number): Promise<Pieces> {
  const blocks = cutIntoBlocks(pieces, blockBytesMaxOfCode(compressedBlockCode));
  const encoded = await Promise.all(blocks.map(compressBlock));
  return [frameHeader(rawBytes, compressedBlockCode), ...encoded.flat(), endMark];
}

export function storeLz4(pieces: Pieces, rawBytes: number): Pieces {
  const blocks = cutIntoBlocks(pieces, blockBytesMaxOfCode(storedBlockCode));
  return [frameHeader(rawBytes, storedBlockCode), ...blocks.flatMap(storeBlock), endMark];
}

async function compressBlock(block: Pieces): Promise<Pieces> {
  const raw = contiguous(block);
  // lz4-napi puts the uncompressed size before the block, in the four bytes where the frame
  // format wants the compressed one.
  const encoded = await compress(raw);
  const size = encoded.length - 4;
  if (size >= raw.length) return storeBlock([raw]);
  encoded.writeUInt32LE(size, 0);
  return [encoded];
}

function storeBlock(block: Pieces): Pieces {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(lengthOf(block) + uncompressedBit, 0);
  return [size, ...block];
}

function frameHeader(rawBytes: number, blockCode: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(magic, 0);
  header.writeUInt8(flags, 4);
  header.writeUInt8(blockCode << 4, 5);
  header.writeBigUInt64LE(BigInt(rawBytes), 6);
  header.writeUInt8((xxh32(header.subarray(4, 14)) >>> 8) & 0xff, 14);
  return header;
}

/**
 * The content of one frame as `compressLz4` and `storeLz4` write them. No block is given more
 * room than what is left of `rawBytes`. The result may be a slice of `frame`.
 */
export async function decompressLz4(frame: Buffer, rawBytes: number): Promise<Buffer> {
  if (frame.length < headerBytes + endMark.length) throw new Error("it ends in its header");
  const blockCode = frame.readUInt8(5) >> 4;
  if (blockCode < 4 || !frame.subarray(0, headerBytes).equals(frameHeader(rawBytes, blockCode))) {
    throw new Error(`its header is not that of ${rawBytes} bytes in independent blocks`);
  }
  const blockBytesMax = blockBytesMaxOfCode(blockCode);
  // Read only once all are known: a block that fails while the loop throws would fail unheard.
  const blocks: (() => Buffer | Promise<Buffer>)[] = [];
  let position = headerBytes;
  let left = rawBytes;
  while (left > 0) {
    const room = Math.min(left, blockBytesMax);
    const field = readBlockSize(frame, position);
    const size = field % uncompressedBit;
    const data = frame.subarray(position + 4, position + 4 + size);
    if (data.length < size) throw new Error("it ends in a block");
    if (field >= uncompressedBit) {
      if (size !== room) throw new Error(`a block has ${size} bytes, ${room} were expected`);
      blocks.push(() => data);
    } else {
      blocks.push(() => decompressBlock(data, room));
    }
    position += 4 + size;
    left -= room;
  }
  const content = await Promise.all(blocks.map((read) => read()));
  if (readBlockSize(frame, position) !== 0 || position + 4 !== frame.length) {
    throw new Error("its blocks hold more than it declares");
  }
  return contiguous(content);
}

function readBlockSize(frame: Buffer, position: number): number {
  if (position + 4 > frame.length) throw new Error("it ends before its end mark");
  return frame.readUInt32LE(position);
}

async function decompressBlock(data: Buffer, rawBytes: number): Promise<Buffer> {
  // lz4-napi wants the uncompressed size first, allocates that much and never writes past it.
  const sized = Buffer.allocUnsafe(4 + data.length);
  sized.writeUInt32LE(rawBytes, 0);
  data.copy(sized, 4);
  const raw = await uncompress(sized);
  if (raw.length !== rawBytes) {
    throw new Error(`a block has ${raw.length} bytes, ${rawBytes} were expected`);
  }
  return raw;
}

const prime1 = 2654435761;
const prime2 = 2246822519;
const prime3 = 3266489917;
const prime4 = 668265263;
const prime5 = 374761393;

/** XXH32, seed 0, of fewer than 16 bytes: all that a frame header has to be hashed. */
function xxh32(input: Buffer): number {
  let hash = (prime5 + input.length) | 0;
  let position = 0;
  for (; position + 4 <= input.length; position += 4) {
    hash = (hash + Math.imul(input.readInt32LE(position), prime3)) | 0;
    hash = Math.imul((hash << 17) | (hash >>> 15), prime4);
  }
  for (; position < input.length; position++) {
    hash = (hash + Math.imul(input.readUInt8(position), prime5)) | 0;
    hash = Math.imul((hash << 11) | (hash >>> 21), prime1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), prime2);
  hash = Math.imul(hash ^ (hash >>> 13), prime3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
