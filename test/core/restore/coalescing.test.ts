import { expect, test } from "vitest";
import { BatchBuilder } from "#core/kafka/batch-builder.ts";
import { readBatchHeader } from "#core/kafka/record-batch.ts";
import { type OutputBatch, OutputBatches } from "#core/restore/output-batches.ts";

/** What follows a record's deltas: no key, a value of a byte, no headers. */
const tail = Buffer.from([0x01, 0x02, 0x61, 0]);

/** A batch of one record. */
function oneRecordBatch(offset: number): Buffer {
  const builder = new BatchBuilder();
  builder.append(1_700_000_000_000n + BigInt(offset), tail, 0, tail.length);
  const batch = Buffer.from(builder.finish({ codec: "none" }));
  batch.writeBigInt64BE(BigInt(offset), 0);
  return batch;
}

function outputsOf(batches: readonly Buffer[], coalesceBelowBytes?: number): OutputBatch[] {
  const outputs = new OutputBatches({
    at: { topic: "orders", partition: 0 },
    window: {},
    valid: { isWhole: () => true, has: () => true },
    maxMessageBytes: 1024 * 1024,
    coalesceBelowBytes,
    skipRecords: 0n,
    onSkipped: () => {},
  });
  const pushed = batches.flatMap((batch) => [...outputs.push(batch, readBatchHeader(batch))]);
  return [...pushed, ...outputs.flush()];
}

const batches = [0, 1, 2].map(oneRecordBatch);

test("consecutive small batches become one", () => {
  const [only, ...others] = outputsOf(batches);
  expect(others).toEqual([]);
  expect(only).toMatchObject({ recordCount: 3, isRaw: false, nextOffset: 3n });
});

test("with coalescing below 0 bytes every batch is sent as it is", () => {
  const outputs = outputsOf(batches, 0);
  expect(outputs.map(({ isRaw, recordCount }) => [isRaw, recordCount])).toEqual([
    [true, 1],
    [true, 1],
    [true, 1],
  ]);
  expect(outputs.map(({ batch }) => batch)).toEqual(batches);
});

test("a batch of exactly the bound is not small", () => {
  const size = batches[0]!.length;
  expect(outputsOf(batches, size).every(({ isRaw }) => isRaw)).toBe(true);
  expect(outputsOf(batches, size + 1)).toHaveLength(1);
});
