/** The broker's own log files, for damage that no client can do. */
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { batchSizeAt, readBatchHeader } from "#core/kafka/record-batch.ts";
import { kafkaForTests } from "#test/support/kafka.ts";

export interface BatchInFile {
  readonly path: string;
  /** Of the batch's first byte. */
  readonly position: number;
}

/** A batch of partition 0 in its first log file, which the broker reads anew for each fetch. */
export async function batchOnDisk(topic: string, baseOffset: bigint): Promise<BatchInFile> {
  const path = join(kafkaForTests().dataDir, `${topic}-0`, "00000000000000000000.log");
  const log = await readFile(path);
  for (let position = 0; position < log.length; position += batchSizeAt(log, position)!) {
    if (readBatchHeader(log, position).baseOffset === baseOffset) return { path, position };
  }
  throw new Error(`${path} holds no batch that begins at offset ${baseOffset}`);
}

/** Flips the lowest bit of a byte; the same again puts it back. */
export async function flipByteOnDisk(batch: BatchInFile, offsetInBatch: number): Promise<void> {
  const file = await open(batch.path, "r+");
  const byte = Buffer.alloc(1);
  const at = batch.position + offsetInBatch;
  await file.read(byte, 0, 1, at);
  byte[0]! ^= 1;
  await file.write(byte, 0, 1, at);
  await file.close();
}

/**
 * How far the broker's cleaner has compacted partition 0, and how far it may: it leaves the active
 * segment alone. Both are exclusive ends; a partition that it has not seen yet is cleaned up to 0.
 */
export async function compactionOf(
  topic: string,
  dataDir = kafkaForTests().dataDir,
): Promise<{ cleaned: bigint; cleanable: bigint }> {
  // A version, a count, and a line `TOPIC PARTITION OFFSET` for each partition.
  const checkpoint = await readFile(join(dataDir, "cleaner-offset-checkpoint"), "utf8");
  const [, , ...lines] = checkpoint.split("\n");
  const line = lines.find((candidate) => candidate.startsWith(`${topic} 0 `));
  const logs = (await readdir(join(dataDir, `${topic}-0`))).filter((name) => name.endsWith(".log"));
  const active = logs.toSorted().at(-1)!;
  return {
    cleaned: BigInt(line?.split(" ")[2] ?? 0),
    cleanable: BigInt(active.slice(0, -".log".length)),
  };
}
