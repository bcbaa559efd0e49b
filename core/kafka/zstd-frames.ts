/**
 * Zstandard frames (RFC 8878) one by one: Node's zlib decompresses the first frame of its input
 * and silently leaves what follows, where Java's client reads on.
 *
 *   Frame =>  Magic UINT32  Descriptor INT8  [WindowDescriptor INT8]  [DictionaryId 1, 2 or 4]
 *             [FrameContentSize 1, 2, 4 or 8]  [Block]  [Checksum UINT32]
 *   Block =>  Header 3 bytes: last (bit 0), type (bits 1, 2), size  Data
 *   SkippableFrame =>  Magic UINT32 (0x184D2A50 to 5F)  Size UINT32  Data
 *
 * all little-endian. Writers that stream leave out the content size.
 */

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeBytes = [0, 2, 4, 8] as const;
const singleSegmentFlag = 0x20;
const checksumFlag = 0x04;
const blockTypeRle = 1;
const blockTypeReserved = 3;

export interface ZstdFrame {
  readonly bytes: Buffer;
  /** Undefined where the writer did not know it yet. */
  readonly contentBytes: number | undefined;
}

/** The data frames of `data`. Throws RangeError where they do not fill it exactly. */
export function zstdFrames(data: Buffer): ZstdFrame[] {
  const frames: ZstdFrame[] = [];
  for (let at = 0; at < data.length; ) {
    const rest = data.subarray(at);
    if (rest.length < 8) throw new RangeError("ends within a zstd frame's header");
    const magic = rest.readUInt32LE(0);
    if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
      at += 8 + rest.readUInt32LE(4);
      if (at > data.length) throw new RangeError("ends within a skippable zstd frame");
      continue;
    }
    if (magic !== frameMagic) throw new RangeError("is not a zstd frame");
    const frame = frameAt(rest);
    frames.push(frame);
    at += frame.bytes.length;
  }
  return frames;
}

function frameAt(data: Buffer): ZstdFrame {
  const descriptor = data[4]!;
  const singleSegment = (descriptor & singleSegmentFlag) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 && singleSegment ? 1 : contentSizeBytes[sizeFlag]!;
  const sizeAt = 5 + (singleSegment ? 0 : 1) + dictionaryIdBytes[descriptor & 3]!;
  const blocksAt = sizeAt + sizeBytes;
  const end = endOfBlocks(data, blocksAt) + (descriptor & checksumFlag ? 4 : 0);
  if (end > data.length) throw new RangeError("ends within a zstd frame");
  return { bytes: data.subarray(0, end), contentBytes: contentSize(data, sizeAt, sizeBytes) };
}

function endOfBlocks(data: Buffer, start: number): number {
  for (let at = start; at + 3 <= data.length; ) {
    const header = data.readUIntLE(at, 3);
    const type = (header >> 1) & 3;
    if (type === blockTypeReserved) throw new RangeError("has a zstd block of the reserved type");
    at += 3 + (type === blockTypeRle ? 1 : header >> 3);
    if (header & 1) return at;
  }
  throw new RangeError("ends within a zstd frame's blocks");
}

/** The field of two bytes counts from 256. */
function contentSize(data: Buffer, at: number, bytes: number): number | undefined {
  if (bytes === 0) return undefined;
  if (bytes === 8) return Number(data.readBigUInt64LE(at));
  return data.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}
