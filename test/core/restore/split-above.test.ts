/** What is sent after a broker refused batches that were not larger than the plan had found. */
import { expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import { readBatchHeader } from "#core/kafka/record-batch.ts";
import { OutputBatches } from "#core/restore/output-batches.ts";

const record = (bytes: number) => ({ timestamp: 1n, key: null, value: Buffer.alloc(bytes, "abc") });
const source = () => encodeBatch([record(900), record(100)], { codec: "none" });

function outputOf(limits: { maxMessageBytes: number; splitAboveBytes?: number }): number[][] {
  const outputs = new OutputBatches({
    at: { topic: "orders", partition: 0 },
    window: {},
    valid: { isWhole: () => true, has: () => true },
    skipRecords: 0n,
    onSkipped: () => {},
    ...limits,
  });
  const batch = source();
  return [...outputs.push(batch, readBatchHeader(batch)), ...outputs.flush()].map((output) => [
    output.recordCount,
    output.batch.length,
  ]);
}

test("R6: a record above the size to split at goes alone, for the broker to judge", () => {
  const splitAboveBytes = Math.ceil(source().length / 2);
  expect(outputOf({ maxMessageBytes: 1_200, splitAboveBytes })).toEqual([
    [1, 970],
    [1, 170],
  ]);
});

test("R6: a record above the target's max.message.bytes is named", () => {
  expect(() => outputOf({ maxMessageBytes: 540 })).toThrow(
    "orders-0: the record at offset 0 makes a batch of 970 bytes; the target's max.message.bytes is 540",
  );
});
