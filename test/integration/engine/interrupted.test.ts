import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { backupPlanKey, inBackup } from "#core/storage/keys.ts";
import { noDeadline, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";
import { produceTraffic } from "#test/support/oracle.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster?.disconnect());

test("I3: an interrupted run that a later version planned is refused by name, not continued", async () => {
  const topic = await createTopic(cluster, { partitionCount: 2 });
  await produceTraffic([["none", topic]]);
  const engine = testEngine(cluster);
  const passed = { ...noDeadline, passed: () => true };
  await expect(engine.backup([topic], {}, passed)).rejects.toMatchObject({
    name: "CancelledError",
  });
  const run = (await engine.catalog.openRun(engine.backupId))!;
  const key = inBackup(engine.backupId, backupPlanKey(run.run_id));
  const plan = JSON.parse((await engine.storage.get(key)).toString());
  const store = (value: unknown) => engine.storage.put(key, Buffer.from(JSON.stringify(value)));
  await store({ ...plan, format_version: 2, partitions: "otherwise" });
  await expect(engine.backup([topic])).rejects.toMatchObject({
    name: "UnsupportedFormatVersionError",
    message: expect.stringContaining(key),
  });
  expect(await engine.catalog.latestManifest(engine.backupId)).toBeUndefined();
  await store({ ...plan, x_future: true });
  expect(await engine.backup([topic])).toMatchObject({ resumed: true, record_count: 1000 });
});
