import fc from "fast-check";
import { expect, test } from "vitest";
import { shownBytes } from "#core/inspect/shown-bytes.ts";

test("what is text is shown as text, anything else as hexadecimal", () => {
  expect(shownBytes(Buffer.from("a line\n\tand €"), "auto", 100)).toEqual({
    bytes: 15,
    text: "a line\n\tand €",
  });
  expect(shownBytes(Buffer.from([0xff, 0x01]), "auto", 100)).toEqual({ bytes: 2, hex: "ff01" });
  const steering = Buffer.from("\u001b[2J");
  expect(shownBytes(steering, "auto", 100)).toEqual({ bytes: 4, hex: "1b5b324a" });
  expect(shownBytes(Buffer.alloc(0), "auto", 100)).toEqual({ bytes: 0, text: "" });
});

test("either form can be asked for", () => {
  expect(shownBytes(Buffer.from("ab"), "hex", 100)).toEqual({ bytes: 2, hex: "6162" });
  expect(shownBytes(Buffer.from([0x61, 0xff]), "text", 100)).toEqual({ bytes: 2, text: "a\ufffd" });
});

test("a cut says so and how much there is, and divides no character", () => {
  expect(shownBytes(Buffer.from("abcdef"), "auto", 4)).toEqual({
    bytes: 6,
    cut: true,
    text: "abcd",
  });
  expect(shownBytes(Buffer.from("ab€f"), "auto", 4)).toEqual({ bytes: 6, cut: true, text: "ab" });
  expect(shownBytes(Buffer.from("abcdef"), "hex", 1)).toEqual({ bytes: 6, cut: true, hex: "61" });
});

test("text that is cut anywhere is still text, and the beginning of it", () => {
  const text = fc
    .string({ unit: "grapheme", minLength: 1 })
    .filter((each) => !/\p{Cc}/u.test(each));
  fc.assert(
    fc.property(text, fc.nat(40), (whole, bytesMax) => {
      const shown = shownBytes(Buffer.from(whole), "auto", bytesMax);
      expect("text" in shown && whole.startsWith(shown.text)).toBe(true);
    }),
  );
});
