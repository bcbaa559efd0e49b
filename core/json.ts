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
