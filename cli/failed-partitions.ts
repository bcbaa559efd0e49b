/** What runs tell people of the partitions that failed while others went on. */
import type { Io } from "#cli/io.ts";
import { printable, tableText } from "#cli/output.ts";
import type { FailedPartition } from "#core/partition-failure.ts";

/** A table under `heading`, then each hint once; empty where nothing failed. */
export async function failedPartitionsText(
  io: Io,
  heading: string,
  failed: readonly FailedPartition[],
): Promise<string> {
  if (failed.length === 0) return "";
  const table = await tableText(io, {
    head: ["topic", "partition", "error", "what"],
    rows: failed.map(({ topic, partition, error, message }) => [
      topic,
      String(partition),
      error,
      message,
    ]),
    alignRight: [1],
  });
  const hints = [...new Set(failed.map(({ hint }) => hint))].filter((hint) => hint !== "");
  return `\n${heading}\n${table}${hints.map((hint) => `hint: ${printable(hint)}\n`).join("")}`;
}
