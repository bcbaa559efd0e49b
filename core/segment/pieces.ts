/**
 * Bytes that lie in several buffers, in order. A frame is put together from slices of the fetched
 * batches and a few small headers, so that the batches are not copied on their way to the store.
 */
export type Pieces = readonly Buffer[];

export function lengthOf(pieces: Pieces): number {
  let total = 0;
  for (const piece of pieces) total += piece.length;
  return total;
}

/** One buffer of all bytes; without a copy where there is only one piece. */
export function contiguous(pieces: Pieces): Buffer {
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
}

/** Adds `piece` to `pieces`: where it continues the last one in memory, that one is widened. */
export function appendPiece(pieces: Buffer[], piece: Buffer): void {
  const last = pieces.at(-1);
  if (
    last !== undefined &&
    last.buffer === piece.buffer &&
    last.byteOffset + last.length === piece.byteOffset
  ) {
    pieces[pieces.length - 1] = Buffer.from(
      last.buffer,
      last.byteOffset,
      last.length + piece.length,
    );
  } else {
    pieces.push(piece);
  }
}

/** The same bytes with neighbours joined (copied) while they are together below `bytesMin`. */
export function joinSmall(pieces: Pieces, bytesMin: number): Pieces {
  const joined: Buffer[] = [];
  let small: Buffer[] = [];
  let smallBytes = 0;
  const flush = () => {
    if (small.length > 0) joined.push(contiguous(small));
    small = [];
    smallBytes = 0;
  };
  for (const piece of pieces) {
    if (piece.length >= bytesMin) {
      flush();
      joined.push(piece);
    } else {
      small.push(piece);
      smallBytes += piece.length;
      if (smallBytes >= bytesMin) flush();
    }
  }
  flush();
  return joined;
}

/** Cuts into blocks of exactly `blockBytes` (the last may be shorter), each a list of slices. */
export function cutIntoBlocks(pieces: Pieces, blockBytes: number): Buffer[][] {
  const blocks: Buffer[][] = [];
  let block: Buffer[] = [];
  let room = blockBytes;
  for (const piece of pieces) {
    let position = 0;
    while (position < piece.length) {
      const slice = piece.subarray(position, position + room);
      block.push(slice);
      position += slice.length;
      room -= slice.length;
      if (room === 0) {
        blocks.push(block);
        block = [];
        room = blockBytes;
      }
    }
  }
  if (block.length > 0) blocks.push(block);
  return blocks;
}
