import fc from "fast-check";
import { expect, test } from "vitest";
import {
  VarintReader,
  varintBytes,
  varlongBytes,
  writeVarint,
  writeVarlong,
} from "#core/kafka/varint.ts";

const edges64 = [
  ...[0n, -1n, 1n, 63n, 64n, -64n, -65n, 2n ** 48n - 1n, 2n ** 48n, -(2n ** 48n) - 1n],
  ...[2n ** 51n, 2n ** 53n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)],
];
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(...edges64),
);

test.each([
  [0, "00"],
  [-1, "01"],
  [1, "02"],
  [63, "7e"],
  [-64, "7f"],
  [64, "8001"],
  [300, "d804"],
  [2 ** 31 - 1, "feffffff0f"],
  [-(2 ** 31), "ffffffff0f"],
])("%i is the varint %s", (value, hex) => {
  const bytes = Buffer.alloc(varintBytes(value));
  expect(writeVarint(bytes, 0, value)).toBe(bytes.length);
  expect(bytes.toString("hex")).toBe(hex);
  expect(new VarintReader(bytes).varint()).toBe(value);
});

test("F1: any 64-bit number is read back as written, in the bytes foretold", () => {
  fc.assert(
    fc.property(int64, (value) => {
      const bytes = Buffer.alloc(varlongBytes(value));
      expect(writeVarlong(bytes, 0, value)).toBe(bytes.length);
      expect(BigInt(new VarintReader(bytes).varlong())).toBe(value);
    }),
    { numRuns: 1000 },
  );
});

test("F1: safe integers are written the same as number and as bigint", () => {
  const safe = fc.oneof(
    fc.maxSafeInteger(),
    fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 51, -(2 ** 51)),
  );
  fc.assert(
    fc.property(safe, (value) => {
      const [asNumber, asBigint] = [Buffer.alloc(10), Buffer.alloc(10)];
      expect(writeVarlong(asNumber, 0, value)).toBe(writeVarlong(asBigint, 0, BigInt(value)));
      expect(asNumber).toEqual(asBigint);
      expect(varlongBytes(value)).toBe(varlongBytes(BigInt(value)));
    }),
    { numRuns: 1000 },
  );
});

test("reading stops at the given end", () => {
  const reader = new VarintReader(Buffer.from([0x80, 0x80, 0x01]), 0, 2);
  expect(() => reader.varint()).toThrow(RangeError);
});
