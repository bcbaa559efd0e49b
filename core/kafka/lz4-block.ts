/**
 * The LZ4 block format (lz4_Block_format.md), for what the native module does badly: telling a
 * block's content size before anything is allocated, and decompressing blocks of a few hundred
 * bytes, as batches of single records have them (1 microsecond against 40).
 *
 *   Block    =>  [Sequence]
 *   Sequence =>  Token INT8 (literals << 4 | match - 4)  [more literals]  Literals
 *                MatchOffset UINT16 LE  [more match]
 *
 * A length of 15 is continued in further bytes, up to and with the first that is not 255. The
 * last sequence ends after its literals.
 */

const lengthContinued = 15;
const matchBytesMin = 4;
/** From this many bytes on the engine's own copy is quicker than a loop. */
const copyBytesMin = 32;

const malformed = "has a malformed LZ4 block";

/** Bytes of what the block `[start, end)` decompresses to. Throws RangeError for a malformed one. */
export function lz4BlockContentBytes(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  let content = 0;
  while (at < end) {
    const token = bytes[at++]!;
    let literals = token >> 4;
    if (literals === lengthContinued) {
      let more = 255;
      for (; more === 255 && at < end; literals += more) more = bytes[at++]!;
    }
    at += literals;
    content += literals;
    if (at === end) return content;
    at += 2;
    let match = token & 15;
    if (match === lengthContinued) {
      let more = 255;
      for (; more === 255 && at < end; match += more) more = bytes[at++]!;
    }
    content += match + matchBytesMin;
  }
  throw new RangeError(malformed);
}

/**
 * Decompresses the block `[start, end)`, of which `lz4BlockContentBytes` gave a size that `target`
 * has room for at `position`, and returns the position after it. Throws RangeError where a match
 * points before the block's begin.
 */
export function decompressLz4Block(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number,
): number {
  let at = start;
  let to = position;
  for (;;) {
    const token = bytes[at++]!;
    let literals = token >> 4;
    if (literals === lengthContinued) {
      let more = 255;
      for (; more === 255; literals += more) more = bytes[at++]!;
    }
    if (literals >= copyBytesMin) {
      target.set(bytes.subarray(at, at + literals), to);
      at += literals;
      to += literals;
    } else {
      for (let left = literals; left > 0; left--) target[to++] = bytes[at++]!;
    }
    if (at === end) return to;
    let from = to - (bytes[at]! | (bytes[at + 1]! << 8));
    at += 2;
    if (from < position || from === to) throw new RangeError(malformed);
    let match = token & 15;
    if (match === lengthContinued) {
      let more = 255;
      for (; more === 255; match += more) more = bytes[at++]!;
    }
    match += matchBytesMin;
    if (match >= copyBytesMin && from + match <= to) {
      target.copyWithin(to, from, from + match);
      to += match;
    } else {
      // A match may overlap what it writes: bytes repeat.
      for (let left = match; left > 0; left--) target[to++] = target[from++]!;
    }
  }
}
