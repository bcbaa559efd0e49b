import { hash } from "node:crypto";

const initialSlots = 1024;
/** Beyond this share of taken slots a search takes many steps. */
const fullShare = 0.6;

/**
 * A set of object keys in some 27 bytes a key, whatever their length: a million segments with
 * their indexes take 54 MB. It keeps the first 64 bits of each key's SHA-256. Two million keys
 * make a foreign key look like one of them with a chance of 2e6 / 2^64 = 1e-13, and then an
 * orphan is kept: the error that is made, if ever, is the harmless one.
 */
export class KeySet {
  /** 0 marks a free slot. */
  #slots = new BigUint64Array(initialSlots);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(key: string): void {
    if (this.#size + 1 > this.#slots.length * fullShare) this.#grow();
    this.#insert(digestOf(key));
  }

  has(key: string): boolean {
    const digest = digestOf(key);
    return this.#slots[this.#slotOf(digest)] === digest;
  }

  #insert(digest: bigint): void {
    const slot = this.#slotOf(digest);
    if (this.#slots[slot] === digest) return;
    this.#slots[slot] = digest;
    this.#size += 1;
  }

  /** Where the digest is, or would be. */
  #slotOf(digest: bigint): number {
    const slots = this.#slots;
    let slot = Number(digest % BigInt(slots.length));
    while (slots[slot] !== 0n && slots[slot] !== digest) slot = (slot + 1) % slots.length;
    return slot;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new BigUint64Array(before.length * 2);
    this.#size = 0;
    for (const digest of before) {
      if (digest !== 0n) this.#insert(digest);
    }
  }
}

function digestOf(key: string): bigint {
  const digest = hash("sha256", key, "buffer").readBigUInt64BE(0);
  return digest === 0n ? 1n : digest;
}
