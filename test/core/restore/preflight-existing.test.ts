import { expect, test } from "vitest";
import type { PartitionDescription } from "#core/kafka/cluster.ts";
import { planRestore } from "#core/restore/plan.ts";
import { checkExistingTopic } from "#core/restore/preflight-existing.ts";
import type { TargetLog } from "#core/restore/target.ts";
import { requestOf, targetClusterId } from "#test/support/restore-requests.ts";
import {
  syntheticBackup,
  syntheticBatches,
  syntheticClusterId,
} from "#test/support/synthetic-backup.ts";

interface Found {
  readonly partition?: Partial<PartitionDescription>;
  readonly log?: TargetLog | Error;
  readonly clusterId?: string;
  readonly minInSyncReplicas?: string;
}

/** What is found of a topic `orders` with one partition on brokers 1 to 3. */
async function findingsOf(found: Found): Promise<string[]> {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  const request = requestOf();
  const plan = await planRestore(backup, request);
  const target = {
    clusterId: found.clusterId ?? targetClusterId,
    brokerIds: [1, 2, 3],
    topics: new Map(),
    hidden: new Map(),
  };
  const noCluster = undefined as never; // Nothing is to be changed, so nothing is asked.
  const check = {
    cluster: noCluster,
    target,
    planned: plan.topics[0]!,
    request,
    sourceClusterId: syntheticClusterId,
    recordGrowthBytes: 0,
    nowMs: Date.now(),
  };
  const value = found.minInSyncReplicas ?? "2";
  const setting = { name: "min.insync.replicas", value, ofTopic: true, readOnly: false };
  const partition = {
    partition: 0,
    leader: 1,
    leaderEpoch: 0,
    replicas: [1, 2, 3],
    inSyncReplicas: [1, 2, 3],
    ...found.partition,
  };
  const { findings } = await checkExistingTopic(check, {
    description: {
      name: "orders",
      topicId: "xQ0yJ7o0R9q1m4zv2Lr8Xw",
      internal: false,
      authorizedOperations: undefined,
      partitions: [partition],
    },
    settings: new Map([[setting.name, setting]]),
    logs: new Map([[0, found.log ?? { start: 0n, end: 0n }]]),
  });
  return findings.map(({ severity, code, message }) => `${severity} ${code}: ${message}`);
}

test("R4: a healthy, empty topic finds nothing", async () => {
  expect(await findingsOf({})).toEqual([]);
});

test("R4: fewer replicas in sync than acks=all needs are an error", async () => {
  expect(await findingsOf({ partition: { inSyncReplicas: [1] } })).toEqual([
    "error too-few-insync-replicas: 1 of 3 replicas are in sync, min.insync.replicas is 2",
  ]);
  expect(await findingsOf({ partition: { inSyncReplicas: [1, 2] } })).toEqual([]);
});

test("R4: more replicas in sync than there are may be asked for by old brokers", async () => {
  expect(await findingsOf({ minInSyncReplicas: "4" })).toEqual([
    expect.stringMatching(/^warning too-few-insync-replicas/),
  ]);
});

test("R4: a partition without a leader is an error", async () => {
  expect(await findingsOf({ partition: { leader: -1 } })).toEqual([
    "error no-leader: the partition has no leader",
  ]);
});

test("R4: a partition that cannot be asked is an error", async () => {
  const log = new Error("LEADER_NOT_AVAILABLE");
  expect(await findingsOf({ log })).toEqual([
    expect.stringMatching(/^error target-unreadable: .*LEADER_NOT_AVAILABLE/),
  ]);
});

test("R4: a log that was emptied holds nothing", async () => {
  expect(await findingsOf({ log: { start: 7n, end: 7n } })).toEqual([]);
});

test("R4: the topic that was backed up is named as such when it holds records", async () => {
  const log = { start: 2n, end: 7n };
  expect(await findingsOf({ log })).toEqual(["error target-not-empty: holds 5 offsets already"]);
  expect(await findingsOf({ log, clusterId: syntheticClusterId })).toEqual([
    "error target-not-empty: is the topic that was backed up, and holds 5 offsets already",
  ]);
});
