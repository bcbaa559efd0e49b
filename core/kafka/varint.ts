/**
 * Variable-length integers as records use them: seven bits a byte, lowest first, the highest bit
 * set on all but the last (Protocol Buffers), zigzag for signed ones: 0, -1, 1, -2 are 0, 1, 2, 3.
 * A varint is an int32 in at most 5 bytes, a varlong an int64 in at most 10; as in Java
 * (org.apache.kafka.common.utils.ByteUtils), bits beyond that width are dropped.
 */

/**
 * A varlong of up to 7 bytes has 49 bits, and fits a double with room; longer ones, rare, need
 * bigint.
 */
const bytesOfExactDouble = 7;

/** Reads on from `position` up to `end`. Throws RangeError where the bytes end or are malformed. */
export class VarintReader {
  position: number;
  readonly end: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.position = position;
    this.end = end;
  }

  byte(): number {
    if (this.position >= this.end) throw new RangeError("ends within a record");
    return this.#bytes[this.position++]!;
  }

  varint(): number {
    let byte = this.byte();
    let raw = byte & 0x7f;
    for (let shift = 7; byte & 0x80; shift += 7) {
      if (shift > 28) throw new RangeError("has a varint of more than 5 bytes");
      byte = this.byte();
      raw |= (byte & 0x7f) << shift;
    }
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** A number where it is exact, else a bigint within 64 bits. */
  varlong(): number | bigint {
    const start = this.position;
    let raw = 0;
    let weight = 1;
    for (let i = 0; i < bytesOfExactDouble; i++, weight *= 128) {
      const byte = this.byte();
      raw += (byte & 0x7f) * weight;
      if (byte < 0x80) return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
    }
    this.position = start;
    return this.#longVarlong();
  }

  #longVarlong(): bigint {
    let raw = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      raw |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        raw = BigInt.asUintN(64, raw);
        return BigInt.asIntN(64, (raw >> 1n) ^ -(raw & 1n));
      }
    }
    throw new RangeError("has a varlong of more than 10 bytes");
  }

  /** Passes over `length` bytes; none where it is negative, which stands for null. */
  skip(length: number): void {
    if (length <= 0) return;
    if (length > this.end - this.position) {
      throw new RangeError(`has a field of ${length} bytes where ${this.end - this.position} are`);
    }
    this.position += length;
  }
}

/** Bytes of `value` as a varint, 1 to 5. */
export function varintBytes(value: number): number {
  const raw = ((value << 1) ^ (value >> 31)) >>> 0;
  if (raw < 2 ** 7) return 1;
  if (raw < 2 ** 14) return 2;
  if (raw < 2 ** 21) return 3;
  return raw < 2 ** 28 ? 4 : 5;
}

/** Writes an int32 and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let raw = ((value << 1) ^ (value >> 31)) >>> 0;
  let at = position;
  for (; raw > 0x7f; raw >>>= 7) bytes[at++] = raw | 0x80;
  bytes[at++] = raw;
  return at;
}

/** Doubled and with a bit for the sign, numbers below this stay exact as doubles. */
const zigzagExactMax = 2 ** 51;

/** Bytes of an int64 as a varlong, 1 to 10. */
export function varlongBytes(value: number | bigint): number {
  if (typeof value === "number" && Math.abs(value) < zigzagExactMax) {
    let bytes = 1;
    for (let raw = zigzag(value); raw > 0x7f; raw = Math.floor(raw / 128)) bytes++;
    return bytes;
  }
  let bytes = 1;
  for (let raw = zigzag64(BigInt(value)); raw > 0x7fn; raw >>= 7n) bytes++;
  return bytes;
}

/** Writes an int64 and returns the position after it. */
export function writeVarlong(bytes: Uint8Array, position: number, value: number | bigint): number {
  let at = position;
  if (typeof value === "number" && Math.abs(value) < zigzagExactMax) {
    let raw = zigzag(value);
    for (; raw > 0x7f; raw = Math.floor(raw / 128)) bytes[at++] = (raw % 128) | 0x80;
    bytes[at++] = raw;
    return at;
  }
  let raw = zigzag64(BigInt(value));
  for (; raw > 0x7fn; raw >>= 7n) bytes[at++] = Number(raw & 0x7fn) | 0x80;
  bytes[at++] = Number(raw);
  return at;
}

function zigzag(value: number): number {
  return value >= 0 ? 2 * value : -2 * value - 1;
}

function zigzag64(value: bigint): bigint {
  return BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
}
