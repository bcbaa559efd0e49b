import fc from "fast-check";
import { expect, test } from "vitest";
import { WireReader, WireWriter } from "#core/kafka/protocol/wire.ts";

function written(write: (writer: WireWriter) => unknown): Buffer {
  const writer = new WireWriter();
  write(writer);
  return Buffer.concat(writer.buffers());
}

test("unsigned varints are those of Kafka's protocol guide, and come back", () => {
  expect(written((writer) => writer.unsignedVarint(300))).toEqual(Buffer.from([0xac, 0x02]));
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) => {
      const bytes = written((writer) => writer.unsignedVarint(value));
      expect(new WireReader(bytes).unsignedVarint()).toBe(value);
    }),
  );
});

test("strings of any length and script come back, null among them", () => {
  fc.assert(
    fc.property(fc.option(fc.string({ unit: "grapheme", maxLength: 2000 })), (text) => {
      const bytes = written((writer) => writer.nullableString(text).compactString(text ?? "x"));
      const reader = new WireReader(bytes);
      expect(reader.nullableString()).toBe(text);
      expect(reader.compactString()).toBe(text ?? "x");
      expect(reader.remaining).toBe(0);
    }),
  );
});

test("tagged fields that we do not know are passed over", () => {
  const bytes = Buffer.from([2, 0, 3, 1, 1, 1, 9, 1, 1, 42]);
  const reader = new WireReader(bytes);
  reader.taggedFields();
  expect(reader.int8()).toBe(42);
});

test("an array that claims more items than there are bytes is refused before it is made", () => {
  const bytes = written((writer) => writer.int32(0x7fffffff));
  expect(() => new WireReader(bytes).array(() => 0)).toThrow(RangeError);
});

test("a varint without an end is refused", () => {
  expect(() => new WireReader(Buffer.alloc(10, 0x80)).unsignedVarint()).toThrow(RangeError);
});
