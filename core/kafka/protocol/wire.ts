/**
 * The primitive types of Kafka's protocol (https://kafka.apache.org/protocol#protocol_types).
 * All numbers are big-endian. Flexible versions (KIP-482) use the compact types, whose lengths are
 * unsigned varints of length + 1 (0 for null), and end every structure with tagged fields.
 */

/** One API in one version: how its request is written and its response read. */
export interface Api<Request, Response extends { readonly throttleTimeMs: number }> {
  readonly name: string;
  readonly key: number;
  readonly version: number;
  /** Header and body use the flexible encoding. */
  readonly flexible: boolean;
  encode(request: Request, writer: WireWriter): void;
  decode(reader: WireReader): Response;
}

const initialBytes = 256;
/** The largest shift of a 32-bit varint: 5 bytes of 7 bits. */
const varintShiftMax = 28;

export class WireWriter {
  #parts: Buffer[] = [];
  #current = Buffer.allocUnsafe(initialBytes);
  #used = 0;
  #bytesInParts = 0;

  /** Bytes written so far. */
  get size(): number {
    return this.#bytesInParts + this.#used;
  }

  /** What was written, in order, without copying what was passed to `records`. */
  buffers(): Buffer[] {
    return [...this.#parts, this.#current.subarray(0, this.#used)];
  }

  int8(value: number): this {
    const at = this.#reserve(1);
    this.#current.writeInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#reserve(2);
    this.#current.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#reserve(4);
    this.#current.writeInt32BE(value, at);
    return this;
  }

  int64(value: bigint): this {
    const at = this.#reserve(8);
    this.#current.writeBigInt64BE(value, at);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  unsignedVarint(value: number): this {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.int8((((rest & 0x7f) | 0x80) << 24) >> 24);
      rest >>>= 7;
    }
    return this.int8(rest);
  }

  string(value: string): this {
    const length = Buffer.byteLength(value);
    this.int16(length);
    return this.#utf8(value, length);
  }

  nullableString(value: string | null): this {
    return value === null ? this.int16(-1) : this.string(value);
  }

  compactString(value: string): this {
    const length = Buffer.byteLength(value);
    this.unsignedVarint(length + 1);
    return this.#utf8(value, length);
  }

  /** A topic id; the zero one where none is given. */
  zeroUuid(): this {
    return this.int64(0n).int64(0n);
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }

  nullArray(): this {
    return this.int32(-1);
  }

  compactArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.unsignedVarint(items.length + 1);
    for (const item of items) write(item);
    return this;
  }

  compactNullArray(): this {
    return this.unsignedVarint(0);
  }

  /** Length and bytes; the bytes are referred to, not copied: leave them as they are until sent. */
  records(bytes: Buffer): this {
    this.int32(bytes.length);
    this.#parts.push(this.#current.subarray(0, this.#used), bytes);
    this.#bytesInParts += this.#used + bytes.length;
    this.#current = Buffer.allocUnsafe(initialBytes);
    this.#used = 0;
    return this;
  }

  noTaggedFields(): this {
    return this.unsignedVarint(0);
  }

  #utf8(value: string, length: number): this {
    const at = this.#reserve(length);
    this.#current.write(value, at, "utf8");
    return this;
  }

  /** Makes room and returns the position of the `bytes` to be written there. */
  #reserve(bytes: number): number {
    const at = this.#used;
    if (at + bytes > this.#current.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#current.length * 2, at + bytes));
      this.#current.copy(larger, 0, 0, at);
      this.#current = larger;
    }
    this.#used = at + bytes;
    return at;
  }
}

/** Reads a response from its first byte. Throws RangeError where it ends too early. */
export class WireReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#buffer.length - this.#at;
  }

  int8(): number {
    return this.#buffer.readInt8(this.#advance(1));
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4));
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#advance(8));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift <= varintShiftMax; shift += 7) {
      const byte = this.int8();
      value |= (byte & 0x7f) << shift;
      if (byte >= 0) return value >>> 0;
    }
    throw new RangeError("a varint is longer than 5 bytes");
  }

  string(): string {
    return this.#present(this.nullableString());
  }

  nullableString(): string | null {
    return this.#utf8(this.int16());
  }

  compactString(): string {
    return this.#present(this.compactNullableString());
  }

  compactNullableString(): string | null {
    return this.#utf8(this.unsignedVarint() - 1);
  }

  /** As Kafka's tools print ids: base64 for URLs, 22 characters. */
  uuid(): string {
    const at = this.#advance(16);
    return this.#buffer.toString("base64url", at, at + 16);
  }

  /** A null array reads as an empty one. */
  array<T>(read: () => T): T[] {
    return this.#items(this.int32(), read);
  }

  compactArray<T>(read: () => T): T[] {
    return this.#items(this.unsignedVarint() - 1, read);
  }

  /** A view of the response's own memory; null reads as empty. */
  records(): Buffer {
    const length = Math.max(this.int32(), 0);
    const at = this.#advance(length);
    return this.#buffer.subarray(at, at + length);
  }

  /** Passes over the tagged fields: none that we read is written as one. */
  taggedFields(): void {
    for (let left = this.unsignedVarint(); left > 0; left--) {
      this.unsignedVarint();
      this.#advance(this.unsignedVarint());
    }
  }

  #items<T>(count: number, read: () => T): T[] {
    // Every item takes at least a byte, so that a damaged count cannot make us loop for long.
    if (count > this.remaining) throw new RangeError(`an array of ${count} items`);
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(read());
    return items;
  }

  #utf8(length: number): string | null {
    if (length < 0) return null;
    const at = this.#advance(length);
    return this.#buffer.toString("utf8", at, at + length);
  }

  #present(value: string | null): string {
    if (value === null) throw new RangeError("null where a string must be");
    return value;
  }

  #advance(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) {
      throw new RangeError(`${bytes} bytes wanted at ${at} of ${this.#buffer.length}`);
    }
    this.#at = at + bytes;
    return at;
  }
}
