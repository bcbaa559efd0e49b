/**
 * Checkpoints of a run's partitions, and of their ranges: write-once parts, numbered from 0 without
 * holes.
 */
import pLimit from "p-limit";
import type { PartitionOfRun } from "#core/catalog/catalog.ts";
import { checkSame, corrupt, documentBytes, parseState } from "#core/catalog/documents.ts";
import { checkSegmentKey } from "#core/catalog/run-documents.ts";
import { type Checkpoint, checkpoint } from "#core/catalog/run-state.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { checkpointKey, checkpointsFolder } from "#core/storage/checkpoint-keys.ts";
import { inBackup } from "#core/storage/keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";

/** Parts of one partition or range read at once: an hour at one part in 5 s is 720, some 45 round trips. */
const concurrentReads = 16;

export async function appendCheckpoint(
  storage: StorageBackend,
  at: PartitionOfRun,
  part: Checkpoint,
): Promise<void> {
  await writeOnce(storage, keyOf(at, part.sequence), documentBytes(part));
}

export async function checkpoints(
  storage: StorageBackend,
  at: PartitionOfRun,
): Promise<Checkpoint[]> {
  const folder = inBackup(at.backupId, checkpointsFolder(at));
  const keys: string[] = [];
  for await (const { key } of storage.list(folder)) {
    const expected = keyOf(at, keys.length);
    if (key !== expected) throw corrupt(key, `found where ${expected} should be`);
    keys.push(key);
  }
  return pLimit(concurrentReads).map(keys, (key, sequence) =>
    readCheckpoint(storage, at, key, sequence),
  );
}

async function readCheckpoint(
  storage: StorageBackend,
  at: PartitionOfRun,
  key: string,
  sequence: number,
): Promise<Checkpoint> {
  const part = parseState(key, await storage.get(key), checkpoint);
  checkSame(key, "sequence", part.sequence, sequence);
  for (const segment of part.segments) checkSegmentKey(key, at.topic, at.partition, segment.key);
  return part;
}

function keyOf(at: PartitionOfRun, sequence: number): string {
  return inBackup(at.backupId, checkpointKey(at, sequence));
}
