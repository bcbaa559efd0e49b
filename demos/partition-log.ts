/**
 * Writes what a backup holds of one partition to stdout, as the Kafka log that it is: its segments
 * decompressed, end to end. Kafka's own kafka-dump-log.sh reads it; docs/format.md has the same by
 * hand.
 *
 *   node demos/partition-log.ts LOCATION BACKUP_ID TOPIC PARTITION > 00000000000000000000.log
 */
import { pipeline } from "node:stream/promises";
import { withStorageEnvironment } from "#core/config/storage-environment.ts";
import { silentLogger } from "#core/runtime.ts";
import { readFrames } from "#core/segment/reader.ts";
import { decodeIndex } from "#core/segment/segment-index.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { parseLocation } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";

/** Keys of segments begin with their first offset, so a listing is in the order of the log. */
async function* batchesIn(storage: StorageBackend, folder: string): AsyncGenerator<Buffer> {
  for await (const { key } of storage.list(folder)) {
    if (!key.endsWith(".index")) continue;
    const index = decodeIndex(await storage.get(key), key);
    for await (const { batches } of readFrames(
      storage,
      folder + index.segment,
      index,
      () => true,
    )) {
      yield batches;
    }
  }
}

const [location, backupId, topic, partition] = process.argv.slice(2);
if (!location || !backupId || !topic || !partition) {
  throw new Error("arguments: LOCATION BACKUP_ID TOPIC PARTITION");
}
const deps = { clock: systemClock, logger: silentLogger, signal: new AbortController().signal };
const storage = await openStorage(
  withStorageEnvironment(parseLocation(location), process.env),
  deps,
);
const folder = `${backupId}/topics/${topic}/partition=${partition}/`;
await pipeline(batchesIn(storage, folder), process.stdout);
await storage.close();
