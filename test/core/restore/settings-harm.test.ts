import { expect, test } from "vitest";
import { planRestore } from "#core/restore/plan.ts";
import { harmIfKept } from "#core/restore/settings-harm.ts";
import type { TopicCheck } from "#core/restore/topic-check.ts";
import { requestOf, targetClusterId } from "#test/support/restore-requests.ts";
import {
  syntheticBackup,
  syntheticBatches,
  syntheticClusterId,
} from "#test/support/synthetic-backup.ts";

/** For a restore of one partition with three records. */
async function checkOf(recordGrowthBytes: number): Promise<TopicCheck> {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  const request = requestOf();
  const plan = await planRestore(backup, request);
  return {
    cluster: undefined as never, // Nothing is asked.
    target: {
      clusterId: targetClusterId,
      brokerIds: [1],
      topics: new Map(),
      hidden: new Map(),
    },
    planned: plan.topics[0]!,
    request,
    sourceClusterId: syntheticClusterId,
    recordGrowthBytes,
    nowMs: 0,
  };
}

test("R4: retention by size counts what records grow by", async () => {
  const plain = await checkOf(0);
  const { batch_bytes } = plain.planned.partitions[0]!.lineage.totals;
  const severityAt = (check: TopicCheck, bytes: number) =>
    harmIfKept({ name: "retention.bytes", value: String(bytes) }, check).severity;
  expect(severityAt(plain, batch_bytes)).toBe("warning");
  expect(severityAt(plain, batch_bytes - 1)).toBe("error");
  const growing = await checkOf(59);
  expect(severityAt(growing, batch_bytes + 3 * 59)).toBe("warning");
  expect(severityAt(growing, batch_bytes + 3 * 59 - 1)).toBe("error");
});
