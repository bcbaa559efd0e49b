/** Message sets of magic 0 and 1 in a partition's log, as a backup and an offset reset read them. */
import fc, { type GeneratorValue } from "fast-check";
import { expect, test } from "vitest";
import { checkBatch } from "#core/kafka/batch-check.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import { decodeRecords, type KafkaRecord } from "#core/kafka/records.ts";
import { forEachTargetRecord } from "#core/offsets/target-records.ts";
import { noDeadline } from "#test/support/engine.ts";
import { LogModel, modelTopic } from "#test/support/log-model.ts";
import { type OldRecord, oldMessage, oldWrapper } from "#test/support/message-sets.ts";
import {
  archivedBatches,
  lineagesIn,
  type ModelBackup,
  modelBackup,
  wholeRun,
} from "#test/support/model-backup.ts";

const at = { topic: modelTopic, partition: 0 };
const codecs = ["none", "gzip", "snappy", "lz4"] as const;

/** Appends messages of one format with up to two offsets missing between; returns theirs. */
function appendOld(g: GeneratorValue, log: LogModel, magic: 0 | 1): bigint[] {
  const codec = g(fc.constantFrom, ...codecs);
  const records: OldRecord[] = [];
  let next = log.end;
  for (const hole of g(fc.array, fc.nat({ max: 2 }), { minLength: 1, maxLength: 6 })) {
    const offset = next + BigInt(hole);
    const timestamp = magic === 0 ? -1n : offset;
    records.push({ offset, timestamp, key: null, value: Buffer.from(`at ${offset}`) });
    next = offset + 1n;
  }
  if (codec === "none") {
    for (const record of records) log.appendMessages(oldMessage(magic, record), record.offset);
  } else {
    log.appendMessages(oldWrapper(magic, records, { codec }), next - 1n);
  }
  return records.map(({ offset }) => offset);
}

/** Of magic 0, then 1, then 2, as brokers that were upgraded leave it; returns its offsets. */
function grow(g: GeneratorValue, log: LogModel, magic: 0 | 1 | 2): bigint[] {
  if (magic !== 2) return appendOld(g, log, magic);
  const base = log.end;
  log.append(3);
  return [base, base + 1n, base + 2n];
}

async function archivedRecords(backup: ModelBackup): Promise<KafkaRecord[]> {
  const [lineage] = await lineagesIn(backup);
  return (await archivedBatches(backup, lineage!.lineage)).flatMap(({ bytes }) => {
    const header = checkBatch(bytes, 0, at);
    return decodeRecords(header, bodyOf(header, bytes, 0, at, batchBodyBytesMax), at);
  });
}

const magics = fc.array(fc.constantFrom<0 | 1 | 2>(0, 1, 2), { minLength: 1, maxLength: 8 });
const fetchBytes = fc.integer({ min: 1, max: 600 });

test("F2: whatever the formats and wherever a fetch ends, each run archives what was appended", async () => {
  await fc.assert(
    fc.asyncProperty(magics, fetchBytes, fc.gen(), async (steps, bytes, g) => {
      const log = new LogModel();
      const backup = modelBackup(log, { fetchBytes: bytes, segmentBytes: 300 });
      const [first, ...others] = steps.toSorted();
      const appended = grow(g, log, first!);
      // A log may begin inside of a compressed message, which is archived whole.
      log.deleteBefore(BigInt(g(fc.nat, { max: Number(log.end) })));
      for (const magic of others) {
        if (g(fc.boolean)) await wholeRun(backup);
        appended.push(...grow(g, log, magic));
      }
      await wholeRun(backup);
      expect(await lineagesIn(backup)).toMatchObject([{ start_offset: log.logStart }]);
      const archived = (await archivedRecords(backup)).map(({ offset }) => offset);
      const isLeft = (offset: bigint) => offset >= log.logStart;
      expect(archived.filter(isLeft)).toEqual(appended.filter(isLeft));
    }),
    { numRuns: 60 },
  );
});

test("a target's records are read in any format, from any offset to any other", async () => {
  await fc.assert(
    fc.asyncProperty(magics, fetchBytes, fc.gen(), async (steps, bytes, g) => {
      const log = new LogModel();
      const appended = steps.toSorted().flatMap((magic) => grow(g, log, magic));
      const { cluster } = modelBackup(log, { fetchBytes: bytes, segmentBytes: 300 }).deps;
      const from = BigInt(g(fc.nat, { max: Number(log.end) }));
      const to = BigInt(g(fc.nat, { max: Number(log.end) }));
      const read: bigint[] = [];
      await forEachTargetRecord(cluster, { ...at, from, to }, noDeadline, ({ offset }) => {
        read.push(offset);
        return undefined;
      });
      expect(read).toEqual(appended.filter((offset) => offset >= from && offset < to));
    }),
    { numRuns: 100 },
  );
});
