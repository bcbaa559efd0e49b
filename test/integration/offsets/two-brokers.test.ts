/** Groups of two brokers: what one of them cannot answer must not look like nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { listSnapshotIds, takeSnapshot } from "#core/offsets/snapshot.ts";
import { silentLogger } from "#core/runtime.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { collect } from "#test/support/collect.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";
import { startTwoBrokers, type TwoBrokers } from "#test/support/two-brokers.ts";

const groups = Array.from({ length: 20 }, (_, index) => `group ${10 + index}`);
let brokers: TwoBrokers;
let cluster: Cluster;
let topic: string;

/** Gives up soon: what is asked of a dead broker is asked again for as long. */
const connect = () =>
  connectForTests({ bootstrap_servers: [brokers.bootstrapServers] }, { retryBudgetMs: 3_000 });

beforeAll(async () => {
  brokers = await startTwoBrokers();
  const patient = await connectForTests({ bootstrap_servers: [brokers.bootstrapServers] });
  topic = await createTopic(patient);
  const position = { topic, partition: 0, offset: 0n, leaderEpoch: -1, metadata: "" };
  for (const group of groups) {
    expect(await patient.commitOffsets(group, [position])).toMatchObject([{ error: undefined }]);
  }
  await patient.disconnect();
  cluster = await connect();
});
afterAll(async () => {
  await cluster?.disconnect();
  await brokers?.stop();
});

async function leadersOfGroups(): Promise<Set<number>> {
  const [topic] = await cluster.describeTopics(["__consumer_offsets"]);
  return new Set(topic?.partitions.map(({ leader }) => leader));
}

test("K8: groups are listed from every broker, and a list without one of them is none", async () => {
  const storage = openMemory();
  const deps = { storage, cluster, clock: systemClock, logger: silentLogger, newId: randomId };
  const request = { groups: { all: true }, description: "" } as const;
  expect(await leadersOfGroups()).toEqual(new Set([1, 2]));
  const good = await takeSnapshot(deps, request);
  expect(Object.keys(good.consumer_groups)).toEqual(groups);
  const engine = testEngine(cluster);
  expect(await engine.backup([topic])).toMatchObject({ status: "done", generation: 1 });
  const committed = await engine.catalog.latestManifest(engine.backupId);

  // It is there and does not answer; then it is known to be gone, and its groups have no leader.
  await brokers.second.stop("SIGKILL");
  const dead = takeSnapshot(deps, request);
  await expect(dead).rejects.toMatchObject({ name: "BrokerUnavailableError" });
  await expect.poll(leadersOfGroups, { timeout: 20_000 }).toEqual(new Set([1, -1]));
  await expect(takeSnapshot(deps, request)).rejects.toMatchObject({
    name: "BrokerUnavailableError",
    message: expect.stringMatching(
      /^groups cannot all be listed: __consumer_offsets-\d has no leader$/,
    ),
  });
  await expect(cluster.committedOffsets()).rejects.toMatchObject({
    name: "BrokerUnavailableError",
  });
  await expect(engine.backup([topic])).rejects.toMatchObject({
    name: "BrokerUnavailableError",
    message: expect.stringContaining("groups cannot all be listed: "),
  });
  expect(await engine.catalog.latestManifest(engine.backupId)).toEqual(committed);
  const named = takeSnapshot(deps, { groups: { groups: [...groups] }, description: "" });
  await expect(named).rejects.toMatchObject({ name: "BrokerUnavailableError" });
  expect(await collect(listSnapshotIds(storage))).toEqual([good.snapshot_id]);
});
