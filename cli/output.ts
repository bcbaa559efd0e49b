/** Data on stdout, in the form that `--format` asks for. */
import type { Io } from "#cli/io.ts";

export const formats = ["table", "json", "yaml"] as const;
export type Format = (typeof formats)[number];

/** Forms that a single command has beside those of all, by name (`csv`). */
export type OwnFormats = Readonly<Record<string, () => string | Promise<string>>>;

/**
 * Writes `value` as JSON or YAML, or for people what `describe` makes of it. What machines read is
 * the engine's own result: names and shapes do not depend on the table.
 */
export async function writeData(
  io: Io,
  format: string,
  value: unknown,
  describe: () => string | Promise<string>,
  own: OwnFormats = {},
): Promise<void> {
  const ownText = Object.hasOwn(own, format) ? own[format] : undefined;
  io.stdout.write(await (ownText?.() ?? dataText(format as Format, value, describe)));
}

async function dataText(
  format: Format,
  value: unknown,
  describe: () => string | Promise<string>,
): Promise<string> {
  switch (format) {
    case "json": {
      const { toPrettyJson } = await import("#core/json.ts");
      return toPrettyJson(value);
    }
    case "yaml": {
      const { stringify } = await import("yaml");
      const { toJson } = await import("#core/json.ts");
      return stringify(JSON.parse(toJson(value)), { aliasDuplicateObjects: false });
    }
    case "table": {
      const text = await describe();
      return text.endsWith("\n") ? text : `${text}\n`;
    }
  }
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of numbers, counted from 0. */
  readonly alignRight?: readonly number[];
}

/**
 * With borders on a terminal, or a line for each cell where it is too narrow for the table;
 * elsewhere plain columns that `awk` and `cut` can take apart.
 */
export async function tableText(io: Io, table: Table): Promise<string> {
  const { default: CliTable } = await import("cli-table3");
  const isTty = io.stdout.isTTY === true;
  const drawn = new CliTable({
    head: [...table.head],
    colAligns: table.head.map((_, i) => (table.alignRight?.includes(i) ? "right" : "left")),
    style: { head: [], border: [], ...(!isTty && { "padding-left": 0, "padding-right": 0 }) },
    ...(!isTty && { chars: plainColumns }),
  });
  drawn.push(...table.rows.map((row) => row.map(printable)));
  const text = `${drawn.toString().replaceAll(/ +$/gm, "")}\n`;
  const { columns } = io.stdout;
  const isTooWide = isTty && columns !== undefined && text.indexOf("\n") > columns;
  return isTooWide && table.rows.length > 0 ? cellLines(table) : text;
}

/** A block for each row: what a terminal wraps by itself nobody can read. */
function cellLines({ head, rows }: Table): string {
  const width = Math.max(...head.map((name) => name.length)) + 2;
  return rows
    .map((row) =>
      row.map((cell, i) => `${`${head[i]}:`.padEnd(width)}${printable(cell)}\n`).join(""),
    )
    .join("\n");
}

const plainColumns = {
  ...{ top: "", "top-mid": "", "top-left": "", "top-right": "" },
  ...{ bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
  ...{ left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "" },
  middle: "  ",
};

/** Names come from clusters and buckets: what they hold must not steer the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: to take them out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "\ufffd");
}

/** RFC 4180: a header, then a line for each row; what holds a comma, quote or line end is quoted. */
export function csvText({ head, rows }: Pick<Table, "head" | "rows">): string {
  const field = (text: string) =>
    /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  return [head, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}
