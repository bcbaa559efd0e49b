import { expect, test } from "vitest";
import { screenOf } from "../../../scripts/pictures/screen.ts";
import { svgOf } from "../../../scripts/pictures/svg.ts";

const plain = (output: string) => screenOf(output).map((line) => line.map(({ text }) => text));

test("what is drawn over is not on the screen", () => {
  expect(plain("12%\r\u001b[K100%\r\u001b[Kdone\r\n")).toEqual([["done"], []]);
  expect(plain("abcdef\rxy")).toEqual([["xycdef"]]);
});

test("colours begin and end where the program says", () => {
  expect(screenOf("a\u001b[31mb\u001b[39mc\u001b[1;2md\u001b[22me\u001b[0m")).toEqual([
    [
      { text: "a", styles: [] },
      { text: "b", styles: [31] },
      { text: "c", styles: [] },
      { text: "d", styles: [1, 2] },
      { text: "e", styles: [] },
    ],
  ]);
});

test("an escape sequence that it does not know is refused", () => {
  expect(() => screenOf("\u001b[2J")).toThrow("2J");
  expect(() => screenOf("\u001b]0;title\u0007")).toThrow("not known");
});

test("a picture holds the command and each run where it stands, and no markup of theirs", () => {
  const svg = svgOf("cat <file>", [[{ text: "  5 & 6", styles: [31] }]]);
  expect(svg).toContain("<title>cat &lt;file&gt;</title>");
  // Two cells of 7.8 to the right of the margin of 14.
  expect(svg).toContain('<text x="29.6" y="45" textLength="39" fill="#ff7b72">5 &amp; 6</text>');
});
