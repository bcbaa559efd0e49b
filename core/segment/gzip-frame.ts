/**
 * Gzip members (RFC 1952) of deflate blocks (RFC 1951).
 *
 *   Member => 1F 8B, CM 8, FLG 0, MTIME 0, XFL 0, OS 255, Block*, CRC32 UINT32LE, ISIZE UINT32LE
 *   stored Block => BFINAL and BTYPE 00 in one byte, LEN UINT16LE, NLEN UINT16LE, data
 */
import { promisify } from "node:util";
import zlib from "node:zlib";
import { cutIntoBlocks, type Pieces } from "#core/segment/pieces.ts";
import { boundedTo, outputChunkBytes, runThrough } from "#core/segment/zlib-stream.ts";

const gunzip = promisify(zlib.gunzip);

/** LEN has 16 bits. */
const storedBlockBytesMax = 0xffff;
const memberHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

/** `level` 1 to 9. */
export async function compressGzip(
  pieces: Pieces,
  _rawBytes: number,
  level: number,
): Promise<Pieces> {
  return runThrough(zlib.createGzip({ level, chunkSize: outputChunkBytes }), pieces);
}

/** A member of stored blocks. */
export function storeGzip(pieces: Pieces, rawBytes: number): Pieces {
  const member: Buffer[] = [memberHeader];
  const blocks = cutIntoBlocks(pieces, storedBlockBytesMax);
  if (blocks.length === 0) blocks.push([]);
  let left = rawBytes;
  for (const [index, block] of blocks.entries()) {
    const size = Math.min(left, storedBlockBytesMax);
    const isLast = index === blocks.length - 1;
    const blockHeader = Buffer.alloc(5);
    blockHeader.writeUInt8(isLast ? 1 : 0, 0);
    blockHeader.writeUInt16LE(size, 1);
    blockHeader.writeUInt16LE(size ^ 0xffff, 3);
    member.push(blockHeader, ...block);
    left -= size;
  }
  let crc = 0;
  for (const piece of pieces) crc = zlib.crc32(piece, crc);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(rawBytes, 4);
  member.push(trailer);
  return member;
}

export function decompressGzip(frame: Buffer, rawBytes: number): Promise<Buffer> {
  return gunzip(frame, boundedTo(rawBytes));
}
