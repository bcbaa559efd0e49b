/** Talk on stderr: lines that stay, and one status line below them that is drawn over. */
import { styleText } from "node:util";
import type { Io, TextStream } from "#cli/io.ts";

export type Style = "red" | "yellow" | "dim" | "bold" | "cyan";

const columnsDefault = 80;
const clearLine = "\r\u001b[K";

export class Terminal {
  readonly isTty: boolean;
  readonly #stream: TextStream;
  readonly #hasColour: boolean;
  #status = "";

  constructor(stream: TextStream, env: Io["env"]) {
    this.#stream = stream;
    this.isTty = stream.isTTY === true;
    this.#hasColour = hasColour(stream, env);
  }

  /** Writes lines above the status line. */
  line(text: string): void {
    if (this.#status === "") this.#stream.write(`${text}\n`);
    else this.#stream.write(`${clearLine}${text}\n${this.#status}`);
  }

  /** Replaces the status line; an empty text removes it. For terminals only. */
  status(text: string): void {
    this.#status = text.slice(0, (this.#stream.columns ?? columnsDefault) - 1);
    this.#stream.write(`${clearLine}${this.#status}`);
  }

  style(style: Style, text: string): string {
    return this.#hasColour ? styleText(style, text, { validateStream: false }) : text;
  }
}

/** Colours are for terminals, and not wanted where NO_COLOR is set (https://no-color.org). */
export function hasColour(stream: TextStream, env: Io["env"]): boolean {
  const isUnwanted = (env.NO_COLOR ?? "") !== "" || env.TERM === "dumb";
  return stream.isTTY === true && !isUnwanted;
}
