/** Kinds of values that several keys of the configuration share. */
import { z } from "zod";
import { offsetSource } from "#core/offsets/contract.ts";
import { checkBackupId, checkTopicName, snapshotKey } from "#core/storage/keys.ts";

const bytesOfUnit = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
const sizePattern = /^(\d{1,15})(KiB|MiB|GiB)?$/;

/** Bytes: a whole number, or a string with a binary unit (`128MiB`). */
export function byteSize(min: number, max: number) {
  const error = "must be a number of bytes, or a whole number with KiB, MiB or GiB, e.g. 128MiB";
  return z
    .union([z.int(), z.string().regex(sizePattern, error)], { error })
    .transform(bytesOf)
    .refine((bytes) => bytes >= min && bytes <= max, {
      error: `must be between ${sizeText(min)} and ${sizeText(max)}`,
    });
}

function bytesOf(size: number | string): number {
  if (typeof size === "number") return size;
  const [, digits, unit] = sizePattern.exec(size) ?? [];
  return Number(digits) * (unit === undefined ? 1 : bytesOfUnit[unit as keyof typeof bytesOfUnit]);
}

function sizeText(bytes: number): string {
  for (const unit of ["GiB", "MiB", "KiB"] as const) {
    if (bytes % bytesOfUnit[unit] === 0) return `${bytes / bytesOfUnit[unit]}${unit}`;
  }
  return `${bytes} bytes`;
}

const isoTime = z.iso.datetime({ offset: true });
/** Fractions of a second beyond three digits would be cut off in silence. */
const finerThanMs = /\.\d{4,}/;

/**
 * Unix milliseconds as a bigint, from a whole number (or its digits) or from an ISO 8601 time with
 * its zone. Numbers of 10, 16 and 19 digits are seconds, micro- and nanoseconds of our days, and
 * as milliseconds they would be days in 1970 or far futures: refused (R9).
 */
export const timeBound = z
  .union([z.int(), z.string()], {
    error: "must be Unix milliseconds, or an ISO 8601 time with its zone",
  })
  .transform((value, context) => {
    const text = String(value);
    const problem = timeProblem(text);
    if (problem === undefined) return /^\d+$/.test(text) ? BigInt(text) : BigInt(Date.parse(text));
    context.addIssue({ code: "custom", message: problem });
    return z.NEVER;
  });

function timeProblem(text: string): string | undefined {
  if (!/^-?\d+$/.test(text)) {
    if (!isoTime.safeParse(text).success) {
      return "must be Unix milliseconds, or an ISO 8601 time with its zone, e.g. 2025-01-15T10:30:00Z";
    }
    return finerThanMs.test(text) ? "must not be finer than milliseconds" : undefined;
  }
  if (text.startsWith("-")) return "must not be negative";
  switch (text.length) {
    case 10:
      return "looks like seconds; Unix milliseconds are wanted (three digits more)";
    case 16:
      return "looks like microseconds; Unix milliseconds are wanted (three digits less)";
    case 19:
      return "looks like nanoseconds; Unix milliseconds are wanted (six digits less)";
    default:
      return text.length > 19 ? "must fit in 64 bits" : undefined;
  }
}

/** Whether one of the rules of keys and names takes a value. Their messages would repeat it. */
function passes(check: (value: string) => unknown): (value: string) => boolean {
  return (value) => {
    try {
      check(value);
      return true;
    } catch {
      return false;
    }
  };
}

export const topicName = z.string().refine(passes(checkTopicName), {
  error: "must be a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ -",
});

export const topicPattern = z
  .string()
  .min(1, "must not be empty")
  .max(1000, "must not be longer than 1000 characters")
  .refine((pattern) => !pattern.startsWith("!"), {
    error: "must not begin with !; name what to leave out in topics.exclude",
  })
  .refine((pattern) => !/[/\s]/.test(pattern), {
    error: "must not hold spaces or slashes: no topic name does",
  });

/** What one backup may say in place of the topics that are configured. */
export const chosenTopics = z.strictObject({
  include: z.array(topicPattern).min(1),
  exclude: z.array(topicPattern).default([]),
  allow_no_match: z.boolean().exactOptional(),
});

/** Kafka takes any text for a group's name. */
export const groupPattern = z
  .string()
  .min(1, "must not be empty")
  .max(1000, "must not be longer than 1000 characters");

/** Which positions of consumer groups count: a word, or the id of a snapshot. */
export const offsetSourceName = z
  .union([...offsetSource.options], {
    error: "must be one of at-window-end, latest, current, or snapshot:ID",
  })
  .refine((source) => !source.startsWith("snapshot:") || passes(snapshotKey)(source.slice(9)), {
    error: "must name a snapshot: letters, digits, dots, underscores and dashes after snapshot:",
  });

/** A partition number as the key of a mapping. */
export const partitionKey = z
  .string()
  .regex(/^(0|[1-9]\d{0,8})$/, "must be a partition number, e.g. 0");

export const partitionNumber = z.int().min(0).max(999_999_999);

export const backupIdRule = z
  .string()
  .refine((id) => id !== "snapshots", {
    error: "must not be `snapshots`: offset snapshots of consumer groups lie under that name",
  })
  .refine(passes(checkBackupId), {
    error: "must be 1 to 200 of the characters a-z A-Z 0-9 . _ -, the first not a dot",
  });

const hostAndPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/,[\]]+):([1-9]\d{0,4})$/, "must be HOST:PORT, e.g. kafka:9092")
  .refine((address) => Number(address.slice(address.lastIndexOf(":") + 1)) <= 65_535, {
    error: "must have a port of at most 65535",
  });

/** `HOST:PORT`s, as a list or in one string with commas, as Kafka's own clients take them. */
export const bootstrapServers = z
  .union([z.string(), z.array(z.string())], {
    error: "must be HOST:PORT, or a list of them",
  })
  .transform((value) =>
    typeof value === "string" ? value.split(",").map((server) => server.trim()) : value,
  )
  .pipe(z.array(hostAndPort).min(1));
