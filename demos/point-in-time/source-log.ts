/** Where the record batches of a partition begin and end, by Kafka's own DumpLogSegments. */
import { join } from "node:path";
import type { LocalKafka } from "#local/kafka.ts";

export interface BatchRange {
  readonly partition: number;
  readonly baseOffset: bigint;
  /** Inclusive. */
  readonly lastOffset: bigint;
  /** Of its records, in milliseconds. */
  readonly maxTimestamp: bigint;
}

/** Of logs that have not rolled yet, which are one file. */
const firstLogFile = "00000000000000000000.log";
const batchLine =
  /^baseOffset: (?<base>\d+) lastOffset: (?<last>\d+) .* CreateTime: (?<time>\d+) .* isvalid: true/;

export async function batchesOf(
  kafka: LocalKafka,
  topic: string,
  partitions: readonly number[],
): Promise<BatchRange[]> {
  const files = partitions.map((partition) =>
    join(kafka.dataDir, `${topic}-${partition}`, firstLogFile),
  );
  const { code, stdout, stderr } = await kafka.tool("kafka.tools.DumpLogSegments", [
    ...["--files", files.join(",")],
  ]);
  if (code !== 0) throw new Error(`DumpLogSegments ended with ${code}:\n${stderr}`);
  const batches: BatchRange[] = [];
  let partition = -1;
  for (const line of stdout.split("\n")) {
    if (line.startsWith("Dumping ")) partition = partitions[files.indexOf(fileNameIn(line))]!;
    const { base, last, time } = batchLine.exec(line)?.groups ?? {};
    if (base === undefined || last === undefined || time === undefined) continue;
    const offsets = { baseOffset: BigInt(base), lastOffset: BigInt(last) };
    batches.push({ partition, ...offsets, maxTimestamp: BigInt(time) });
  }
  return batches;
}

/** `Dumping /data/orders-0/00000000000000000000.log` */
function fileNameIn(line: string): string {
  return line.slice("Dumping ".length).trim();
}
