/**
 * Snappy framing format (google/snappy, framing_format.txt).
 *
 *   Stream => identifier chunk FF 06 00 00 "sNaPpY", Chunk*
 *   Chunk  => type INT8 (0 compressed, 1 uncompressed), length UINT24LE of what follows,
 *             masked CRC-32C of the uncompressed data UINT32LE, data
 */
import { crc32c } from "@node-rs/crc32";
import { compress, uncompress } from "snappy";
import { contiguous, cutIntoBlocks, lengthOf, type Pieces } from "#core/segment/pieces.ts";

/** The format's bound on the uncompressed data of a chunk. */
const chunkBytesMax = 65_536;
const streamIdentifier = Buffer.from("ff060000734e61507059", "hex");
const compressedChunk = 0x00;
const uncompressedChunk = 0x01;
const skippableChunkMin = 0x80;
/** Type, length and checksum. */
const chunkHeaderBytes = 8;

export async function compressSnappy(pieces: Pieces): Promise<Pieces> {
  const blocks = cutIntoBlocks(pieces, chunkBytesMax);
  const chunks = await Promise.all(blocks.map(compressChunk));
  return [streamIdentifier, ...chunks.flat()];
}

export function storeSnappy(pieces: Pieces): Pieces {
  const blocks = cutIntoBlocks(pieces, chunkBytesMax);
  return [streamIdentifier, ...blocks.flatMap((block) => chunk(uncompressedChunk, block, block))];
}

async function compressChunk(block: Pieces): Promise<Pieces> {
  const raw = contiguous(block);
  // Copying out is three times as fast as the external buffers that it makes otherwise.
  const data = await compress(raw, { copyOutputData: true });
  return data.length < raw.length
    ? chunk(compressedChunk, [data], block)
    : chunk(uncompressedChunk, block, block);
}

function chunk(type: number, data: Pieces, raw: Pieces): Pieces {
  const header = Buffer.alloc(chunkHeaderBytes);
  header.writeUIntLE(type + (4 + lengthOf(data)) * 256, 0, 4);
  header.writeUInt32LE(maskedCrc(raw), 4);
  return [header, ...data];
}

/** Rotated and offset, so that data that holds CRCs does not check itself. */
function maskedCrc(pieces: Pieces): number {
  let crc = 0;
  for (const piece of pieces) crc = crc32c(piece, crc);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** The content of one stream; nothing larger than `rawBytes` is ever allocated. */
export async function decompressSnappy(frame: Buffer, rawBytes: number): Promise<Buffer> {
  if (!frame.subarray(0, streamIdentifier.length).equals(streamIdentifier)) {
    throw new Error("it does not begin with the stream identifier");
  }
  // Read only once all are known: a chunk that fails while the loop throws would fail unheard.
  const chunks: Chunk[] = [];
  let position = streamIdentifier.length;
  let left = rawBytes;
  while (position < frame.length) {
    if (position + 4 > frame.length) throw new Error("it ends in a chunk header");
    const type = frame.readUInt8(position);
    const end = position + 4 + frame.readUIntLE(position + 1, 3);
    if (end > frame.length) throw new Error("it ends in a chunk");
    if (type === compressedChunk || type === uncompressedChunk) {
      if (end < position + chunkHeaderBytes) throw new Error("a chunk has no checksum");
      const data = frame.subarray(position + chunkHeaderBytes, end);
      const size = type === compressedChunk ? uncompressedSizeOf(data) : data.length;
      if (size > Math.min(left, chunkBytesMax)) throw new Error("its chunks hold too much");
      chunks.push({ type, data, crc: frame.readUInt32LE(position + 4) });
      left -= size;
    } else if (type < skippableChunkMin) {
      throw new Error(`it has a chunk of the unknown type ${type}`);
    }
    position = end;
  }
  return contiguous(await Promise.all(chunks.map(readChunk)));
}

interface Chunk {
  readonly type: number;
  readonly data: Buffer;
  readonly crc: number;
}

async function readChunk({ type, data, crc }: Chunk): Promise<Buffer> {
  // Asked for a buffer (the default), it never gives a string.
  const raw = type === compressedChunk ? ((await uncompress(data, copyOut)) as Buffer) : data;
  if (maskedCrc([raw]) !== crc) throw new Error("a chunk does not match its CRC-32C");
  return raw;
}

const copyOut = { copyOutputData: true };

/** The varint that a compressed block begins with. */
function uncompressedSizeOf(data: Buffer): number {
  let size = 0;
  // 65,536 takes 17 bits: three bytes of seven.
  for (let index = 0; index < Math.min(3, data.length); index++) {
    const byte = data.readUInt8(index);
    size |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return size;
  }
  throw new Error("a chunk does not declare its size");
}
