import { crc32c as nativeCrc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c, patchCrc32c } from "#core/kafka/crc32c.ts";

/** Bit by bit, as the definition says. */
function slowCrc32c(data: Uint8Array): number {
  let register = 0xffffffff;
  for (const byte of data) {
    register ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      register = (register >>> 1) ^ (register & 1 ? 0x82f63b78 : 0);
    }
  }
  return ~register >>> 0;
}

/** RFC 3720, B.4. */
const published: [string, Uint8Array, number][] = [
  ["32 zero bytes", new Uint8Array(32), 0x8a9136aa],
  ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 ascending bytes", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ["the check string", Buffer.from("123456789"), 0xe3069283],
  ["no bytes", new Uint8Array(0), 0],
];

test.each(published)("the CRC of %s is the published one", (_name, data, expected) => {
  expect(crc32c(data)).toBe(expected);
});

test("small inputs, computed by tables, and large ones, computed natively, obey the definition", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (data) => {
      expect(crc32c(data)).toBe(slowCrc32c(data));
      expect(nativeCrc32c(data)).toBe(slowCrc32c(data));
    }),
  );
});

test("a CRC continued over two parts is the CRC of the whole", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(600), (data, cut) => {
      expect(crc32c(data.subarray(cut), crc32c(data.subarray(0, cut)))).toBe(crc32c(data));
    }),
  );
});

test("F1: a patched CRC is the CRC computed anew, wherever the change is", () => {
  const changes = fc.record({
    before: fc.uint8Array({ maxLength: 80 }),
    old: fc.uint8Array({ minLength: 1, maxLength: 60 }),
    key: fc.uint8Array({ minLength: 60, maxLength: 60 }),
    after: fc.uint8Array({ maxLength: 2000 }),
  });
  fc.assert(
    fc.property(changes, ({ before, old, key, after }) => {
      const changed = old.map((byte, i) => byte ^ key[i]!);
      const difference = key.subarray(0, old.length);
      const oldCrc = crc32c(Buffer.concat([before, old, after]));
      const newCrc = crc32c(Buffer.concat([before, changed, after]));
      expect(patchCrc32c(oldCrc, difference, after.length)).toBe(newCrc);
    }),
    { numRuns: 500 },
  );
});

test("a CRC is patched over a body of many megabytes", () => {
  const input = Buffer.alloc(40_000_003, "record");
  const oldCrc = crc32c(input);
  input[7]! ^= 0x5a;
  expect(patchCrc32c(oldCrc, Uint8Array.of(0x5a), input.length - 8)).toBe(crc32c(input));
});

test("damage outside the changed bytes still shows in a patched CRC", () => {
  const input = Buffer.alloc(1000, "record");
  const oldCrc = crc32c(input);
  input[3]! ^= 1;
  input[900]! ^= 1;
  expect(patchCrc32c(oldCrc, Uint8Array.of(1), input.length - 4)).not.toBe(crc32c(input));
});

test("zero bytes append in two steps as in one, beyond 2^31 of them", () => {
  const difference = Buffer.from("difference");
  const register = Buffer.alloc(4);
  register.writeUInt32LE(patchCrc32c(0, difference, 1_500_000_000));
  // Reading a register's own bytes from a zero register appends four zero bytes to it.
  const inTwo = patchCrc32c(0, register, 1_500_000_000 - 4);
  expect(inTwo).toBe(patchCrc32c(0, difference, 3_000_000_000));
});
