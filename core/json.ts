/**
 * How 64-bit integers are written in JSON: as numbers while every reader keeps them exact (up to
 * 2^53 - 1), larger ones as decimal strings; both forms are read everywhere.
 */
import { z } from "zod";

function bigintReplacer(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

/** One line of JSON. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, bigintReplacer);
}

/** JSON for people: two spaces, ending in a line feed. */
export function toPrettyJson(value: unknown): string {
  return `${JSON.stringify(value, bigintReplacer, 2)}\n`;
}

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

/** A signed 64-bit integer, from a JSON number or a decimal string. */
export const int64 = z
  .union([z.int(), z.string().regex(/^-?\d{1,19}$/, "must be a whole number"), z.bigint()])
  .transform((value) => BigInt(value))
  .refine((value) => value >= int64Min && value <= int64Max, "must fit in 64 bits");

/**
 * An object by names from outside, each value of one shape. Unlike `z.record`, which leaves
 * `__proto__` out without a word, it takes any name: a consumer group may bear that one.
 */
export function recordOf<T>(shape: z.ZodType<T>): z.ZodType<Record<string, T>> {
  return z.unknown().transform((value, context) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      context.addIssue({ code: "custom", message: "must be an object" });
      return z.NEVER;
    }
    const entries: [string, T][] = [];
    for (const [name, item] of Object.entries(value)) {
      const parsed = shape.safeParse(item);
      if (parsed.success) entries.push([name, parsed.data]);
      for (const { message, path } of parsed.error?.issues ?? []) {
        context.addIssue({ code: "custom", message, path: [name, ...path] });
      }
    }
    return Object.fromEntries(entries);
  });
}
