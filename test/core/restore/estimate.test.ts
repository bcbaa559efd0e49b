import { expect, test } from "vitest";
import { estimateTopic } from "#core/restore/estimate.ts";
import { planRestore } from "#core/restore/plan.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { syntheticBackup, syntheticBatch } from "#test/support/synthetic-backup.ts";

const at = (offset: bigint, ...times: bigint[]) =>
  syntheticBatch(
    offset,
    times.map((timestamp) => ({ timestamp, value: "x" })),
  );

/** Three segments of two records, of the times 100-200, 300-400 and 500-600 thousand seconds. */
async function estimateOf(window: { start?: bigint; end?: bigint }) {
  const backup = syntheticBackup();
  const times = [100n, 300n, 500n].map((time) => time * 1_000_000n);
  const segments = times.map((time, i) => [at(BigInt(2 * i), time, time + 100_000_000n)]);
  await backup.addRun({ partitions: [{ segments }] });
  const plan = await planRestore(backup, requestOf({ window }));
  const { manifest } = plan.stored;
  const [estimate] = await estimateTopic(backup.catalog, manifest, plan.topics[0]!, window);
  return estimate!;
}

test("without a window the manifest's totals are exact", async () => {
  const estimate = await estimateOf({});
  expect(estimate).toMatchObject({ record_count: 6, is_exact: true });
});

test("segments that end before the window starts do not count", async () => {
  expect(await estimateOf({ start: 200_000_001n })).toMatchObject({ record_count: 4 });
  expect(await estimateOf({ start: 200_000_000n })).toMatchObject({ record_count: 6 });
});

test("where only the largest time of a segment is known the estimate is an upper bound", async () => {
  expect(await estimateOf({ end: 150_000_000n })).toMatchObject({ is_exact: false });
});

test("a window behind everything leaves nothing", async () => {
  const estimate = await estimateOf({ start: 700_000_000n });
  expect(estimate).toMatchObject({ record_count: 0, batch_bytes: 0 });
});
