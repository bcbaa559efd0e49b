/**
 * What is on a terminal's screen after a program has ended: text and colours. Of ECMA-48, as much
 * as the command line writes: carriage return, line feed, EL 0 and SGR.
 */

export interface Run {
  readonly text: string;
  /** SGR parameters in force, as `1`, `31` or `2`; empty for none. */
  readonly styles: readonly number[];
}

export type Line = readonly Run[];

interface Cell {
  readonly character: string;
  readonly styles: readonly number[];
}

const control = "\u001b\\[";
const token = new RegExp(`${control}([0-9;]*)([A-Za-z])|\\r|\\n|[^\\u001b\\r\\n]`, "gu");
/** What ends a style, by SGR. */
const endedBy: Readonly<Record<number, (style: number) => boolean>> = {
  0: () => true,
  22: (style) => style === 1 || style === 2,
  39: (style) => style >= 30 && style <= 37,
};

/** Throws an error that names an escape sequence that it does not know. */
export function screenOf(output: string): Line[] {
  const rows: Cell[][] = [[]];
  let column = 0;
  let styles: readonly number[] = [];
  let read = 0;
  for (const [text, parameters = "", final] of output.matchAll(token)) {
    const row = rows.at(-1)!;
    read += text.length;
    if (text === "\r") column = 0;
    else if (text === "\n") rows.push([]);
    else if (final === "K" && parameters === "") row.length = Math.min(row.length, column);
    else if (final === "m") styles = stylesAfter(styles, parameters);
    else if (final !== undefined) throw new Error(`unknown escape sequence ${parameters}${final}`);
    else row[column++] = { character: text, styles };
  }
  if (read !== output.length) throw new Error("there are escape sequences that are not known");
  return rows.map(runsOf);
}

function stylesAfter(styles: readonly number[], parameters: string): readonly number[] {
  let now = styles;
  for (const parameter of parameters.split(";").map(Number)) {
    const isEnded = endedBy[parameter];
    now = isEnded === undefined ? [...now, parameter] : now.filter((style) => !isEnded(style));
  }
  return now;
}

function runsOf(cells: readonly (Cell | undefined)[]): Line {
  const runs: { text: string; styles: readonly number[] }[] = [];
  for (const cell of Array.from(cells)) {
    const { character, styles } = cell ?? { character: " ", styles: [] };
    const last = runs.at(-1);
    if (last !== undefined && last.styles.join() === styles.join()) last.text += character;
    else runs.push({ text: character, styles });
  }
  return runs;
}
