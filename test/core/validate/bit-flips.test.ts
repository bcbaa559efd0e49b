/** Every single bit of a small segment and of its index, one after the other. */
import { beforeAll, describe, expect, test } from "vitest";
import { openObjectCatalog } from "#core/catalog/objects.ts";
import { deadlineAt } from "#core/runtime.ts";
import { type FrameCodec, frameCodecNames } from "#core/segment/codecs.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import { runValidation } from "#core/validate/run.ts";
import { collect } from "#test/support/collect.ts";
import {
  syntheticBackup,
  syntheticBackupId,
  syntheticBatch,
} from "#test/support/synthetic-backup.ts";

async function smallBackup(codec: FrameCodec): Promise<StorageBackend> {
  const storage = openMemory();
  const segments = [[syntheticBatch(0n, [{ key: "k", value: "v" }])]];
  await syntheticBackup(storage).addRun({ codec, partitions: [{ segments }] });
  return storage;
}

async function keyOf(storage: StorageBackend, isWanted: (key: string) => boolean): Promise<string> {
  const found = await collect(storage.list(`${syntheticBackupId}/topics/`));
  const keys = found.map(({ key }) => key).filter(isWanted);
  expect(keys).toHaveLength(1);
  return keys[0]!;
}

function validate(storage: StorageBackend, level: ValidationLevel) {
  const newId = () => "0123456789abcdef";
  const catalog = openObjectCatalog({ storage, clock: systemClock, newId });
  const request = { backup_id: syntheticBackupId, level };
  return runValidation({ storage, catalog }, request, deadlineAt(systemClock, Infinity));
}

/** The bits, by byte and number, whose flip the level does not find, or does not find in `key`. */
async function missedBits(storage: StorageBackend, key: string, level: ValidationLevel) {
  const sound = await storage.get(key);
  const missed: string[] = [];
  for (let bit = 0; bit < sound.length * 8; bit++) {
    const flipped = Buffer.from(sound);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    await storage.put(key, flipped);
    const { status, findings } = await validate(storage, level);
    const isFound = status === "damaged" && findings.some((finding) => finding.key === key);
    if (!isFound) missed.push(`bit ${bit & 7} of byte ${bit >> 3}`);
  }
  await storage.put(key, sound);
  return missed;
}

/** Thousands of validations of a millisecond or two, on a machine that may be busy. */
const timeoutMs = 600_000;

describe.each(frameCodecNames)("I1: a segment of %s", (codec) => {
  let storage: StorageBackend;
  beforeAll(async () => {
    storage = await smallBackup(codec);
  });

  test(
    "has no bit whose flip deep validation does not find",
    async () => {
      const key = await keyOf(storage, (one) => !one.endsWith(".index"));
      expect(await missedBits(storage, key, "deep")).toEqual([]);
      expect((await validate(storage, "deep")).status).toBe("sound");
    },
    timeoutMs,
  );
});

test(
  "I1: an index has no bit whose flip deep validation does not find",
  async () => {
    const storage = await smallBackup("none");
    const key = await keyOf(storage, (one) => one.endsWith(".index"));
    expect(await missedBits(storage, key, "deep")).toEqual([]);
  },
  timeoutMs,
);
