/** Lists of any length, as a state machine's data holds them. */
import { z } from "zod";

/** How many there are, and so many of them as a state machine's data may well hold. */
export interface Excerpt<T> {
  readonly count: number;
  readonly first: T[];
}

export function excerptOf<T extends z.ZodType>(shape: T) {
  return z.object({ count: z.int().min(0), first: z.array(shape) });
}

/**
 * An entry is one or two names of up to 249 characters, two texts of up to 500 and some 100 bytes of
 * numbers: below 1.5 KiB, an excerpt below 30 KiB. A backup's result has four of them (gaps, failed,
 * hanging and unread transactions): below half of the 256 KiB that Step Functions take.
 */
const excerptLength = 20;
const textLengthMax = 500;

/** Written for people, or told by brokers and stores, and so of any length. */
const textFields: readonly string[] = ["message", "hint", "reason", "remedy"];

export function excerpt<T extends object>(all: readonly T[]): Excerpt<T> {
  return { count: all.length, first: all.slice(0, excerptLength).map(shortened) };
}

function shortened<T extends object>(entry: T): T {
  const long = Object.entries(entry).filter(
    ([name, value]) =>
      textFields.includes(name) && typeof value === "string" && value.length > textLengthMax,
  );
  if (long.length === 0) return entry;
  return { ...entry, ...Object.fromEntries(long.map(([name, text]) => [name, cut(text)])) };
}

/** Half of a surrogate pair would be no text any more. */
function cut(text: string): string {
  return `${text.slice(0, textLengthMax).toWellFormed()}…`;
}
