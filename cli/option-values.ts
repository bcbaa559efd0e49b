/** Values of options, as commander wants them read: a bad one is a usage error (exit 2). */
import { InvalidArgumentError } from "commander";

/**
 * Names of one option, divided by commas, behind those of the same option before it. A name may
 * hold anything: `\\,` stands for a comma in it.
 */
export function nameList(text: string, before: readonly string[] = []): string[] {
  const names = text.split(/(?<!\\),/).map((name) => name.replaceAll("\\,", ","));
  if (!names.includes("")) return [...before, ...names];
  throw new InvalidArgumentError("It must be names, divided by commas.");
}

/** A reader of whole numbers from `least`. */
export function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
  };
}

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `90s`, `30m`, `24h` or `7d`. */
export function duration(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Number(count) * unitMs[unit]!;
  throw new InvalidArgumentError("It must be a number with a unit: 90s, 30m, 24h, 7d.");
}

/** An offset of Kafka's: 0 to 2^63 - 1. */
export function offset(text: string): bigint {
  const value = /^\d{1,19}$/.test(text) ? BigInt(text) : -1n;
  if (value >= 0n && value < 2n ** 63n) return value;
  throw new InvalidArgumentError("It must be an offset, a whole number from 0.");
}
