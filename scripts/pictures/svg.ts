/** A terminal's screen as an SVG that needs no font but a monospaced one, in light and dark alike. */
import type { Line, Run } from "./screen.ts";

const fontSize = 13;
/** Of a monospaced font, about; `textLength` makes it exact whichever font there is. */
const cellWidth = 7.8;
const lineHeight = 18;
const margin = 14;

const colours: Readonly<Record<number, string>> = {
  ...{ 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff" },
  36: "#76e3ea",
};

/** `command` is what was typed: it stands in the first line, and is the picture's title. */
export function svgOf(command: string, screen: readonly Line[]): string {
  const lines: readonly Line[] = [[{ text: `$ ${command}`, styles: [1] }], ...screen];
  const columns = Math.max(...lines.map((line) => lengthOf(line)));
  const width = Math.ceil(columns * cellWidth + 2 * margin);
  const height = lines.length * lineHeight + 2 * margin;
  const texts = lines.flatMap((line, i) => textsOf(line, margin + (i + 1) * lineHeight - 5));
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(command)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${fontSize}" fill="#e6edf3" xml:space="preserve">`,
    ...texts,
    "</g>",
    "</svg>",
  ].join("\n")}\n`;
}

/** One element a run; spaces at its ends are told by where it stands. */
function textsOf(line: Line, y: number): string[] {
  let column = 0;
  return line.flatMap((run) => {
    const start = column + run.text.search(/\S|$/);
    column += [...run.text].length;
    const text = run.text.trim();
    if (text === "") return [];
    const x = round(margin + start * cellWidth);
    const length = round([...text].length * cellWidth);
    return [
      `<text x="${x}" y="${y}" textLength="${length}"${styleOf(run)}>${escaped(text)}</text>`,
    ];
  });
}

function styleOf({ styles }: Run): string {
  const colour = styles.map((style) => colours[style]).find((one) => one !== undefined);
  return [
    colour === undefined ? "" : ` fill="${colour}"`,
    styles.includes(1) ? ' font-weight="bold"' : "",
    styles.includes(2) ? ' opacity="0.65"' : "",
  ].join("");
}

function lengthOf(line: Line): number {
  return line.reduce((sum, { text }) => sum + [...text].length, 0);
}

const round = (pixels: number) => Math.round(pixels * 10) / 10;

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
