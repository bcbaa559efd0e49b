import type { SegmentEntry } from "#core/catalog/manifest.ts";
import { readBatchHeader } from "#core/kafka/record-batch.ts";
import { readFrames, readIndex } from "#core/segment/reader.ts";
import { frameBatchBytes, type SegmentOptions, SegmentWriter } from "#core/segment/writer.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, indexKeyOf } from "#core/storage/keys.ts";

export const backupId = "nightly";

/** Three batches of bodies this long fill a frame: their headers leave no room for a fourth. */
export const thirdOfFrame = frameBatchBytes / 4;

export function optionsFor(batches: readonly Buffer[], changes: Partial<SegmentOptions> = {}) {
  const baseOffset = batches[0]?.readBigInt64BE(0) ?? 0n;
  const fixed = { backupId, topic: "orders", partition: 3, attempt: "a1" };
  return { ...fixed, baseOffset, codec: "zstd", recompress: "never", ...changes } as const;
}

export async function writeSegment(
  storage: StorageBackend,
  batches: readonly Buffer[],
  changes: Partial<SegmentOptions> = {},
): Promise<SegmentEntry> {
  const writer = await SegmentWriter.open(storage, optionsFor(batches, changes));
  for (const batch of batches) await writer.append(batch, readBatchHeader(batch));
  return writer.finish();
}

/** Relative to the storage's root. */
export function keysOf(entry: SegmentEntry): { segment: string; index: string } {
  const { key } = entry;
  return { segment: inBackup(backupId, key), index: inBackup(backupId, indexKeyOf(key)) };
}

/** All batches of a segment, end to end. */
export async function readSegment(storage: StorageBackend, entry: SegmentEntry): Promise<Buffer> {
  const keys = keysOf(entry);
  const index = await readIndex(storage, keys.index, entry);
  const parts: Buffer[] = [];
  for await (const { batches } of readFrames(storage, keys.segment, index, () => true)) {
    parts.push(batches);
  }
  return Buffer.concat(parts);
}
