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

/** 20 entries of at most 1 KiB: three excerpts stay below a quarter of 256 KiB. */
const excerptLength = 20;
const messageLengthMax = 500;

export function excerpt<T extends object>(all: readonly T[]): Excerpt<T> {
  return { count: all.length, first: all.slice(0, excerptLength).map(shortened) };
}

function shortened<T extends object>(entry: T): T {
  const hasMessage = "message" in entry && typeof entry.message === "string";
  if (!hasMessage || (entry.message as string).length <= messageLengthMax) return entry;
  return { ...entry, message: `${(entry.message as string).slice(0, messageLengthMax)}…` };
}
