import { expect, test } from "vitest";
import { planRestore } from "#core/restore/plan.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import {
  firstPlannedAt,
  type SyntheticPartition,
  syntheticBackup,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const hourMs = 3_600_000n;
const segments = () => [syntheticBatches(0n, 2)];

async function backupOf(...runs: SyntheticPartition[][]) {
  const backup = syntheticBackup();
  for (const partitions of runs) await backup.addRun({ partitions });
  return backup;
}

const topics = (...names: string[]) => names.map((topic) => ({ topic, segments: segments() }));

/** `source-partition -> target-partition@lineage`. */
async function routes(...args: Parameters<typeof planRestore>): Promise<string[]> {
  const plan = await planRestore(...args);
  return plan.topics.flatMap(({ source, target_topic, partitions }) =>
    partitions.map(
      (p) =>
        `${source.name}-${p.source_partition} -> ` +
        `${target_topic}-${p.target_partition}@${p.lineage.lineage}`,
    ),
  );
}

test("a backup without a manifest is not found", async () => {
  const plan = planRestore(syntheticBackup(), requestOf());
  await expect(plan).rejects.toMatchObject({ name: "BackupNotFoundError" });
});

test("the newest manifest is taken unless a generation is named", async () => {
  const backup = await backupOf(topics("orders"), topics("payments"));
  expect((await planRestore(backup, requestOf())).stored.manifest.generation).toBe(2);
  const older = await planRestore(backup, requestOf({ generation: 1 }));
  expect(older.topics.map(({ source }) => source.name)).toEqual(["orders"]);
});

test.each([
  { asked: undefined, recorded: undefined, planned: false },
  { asked: undefined, recorded: true, planned: true },
  { asked: false, recorded: true, planned: false },
  { asked: true, recorded: undefined, planned: true },
])(
  "offset headers: asked for $asked, the backup's default $recorded: $planned",
  async ({ asked, recorded, planned }) => {
    const backup = syntheticBackup();
    const partitions = topics("orders");
    await backup.addRun({
      partitions,
      ...(recorded !== undefined && { includeOffsetHeaders: recorded }),
    });
    const plan = await planRestore(backup, requestOf({ include_offset_headers: asked }));
    expect(plan.include_offset_headers).toBe(planned);
  },
);

test("the newest run says whether restores shall add offset headers, each manifest by itself", async () => {
  const backup = syntheticBackup();
  const first = await backup.addRun({ partitions: topics("a"), includeOffsetHeaders: true });
  const second = await backup.addRun({ partitions: topics("b"), includeOffsetHeaders: false });
  expect(first.manifest.restore_defaults).toEqual({ include_offset_headers: true });
  expect(second.manifest).not.toHaveProperty("restore_defaults");
  const planned = async (generation: number) =>
    (await planRestore(backup, requestOf({ generation }))).include_offset_headers;
  expect([await planned(1), await planned(2)]).toEqual([true, false]);
});

test("globs and names select topics by their source name", async () => {
  const backup = await backupOf(topics("orders-eu", "orders-us", "orders-old", "payments"));
  const request = requestOf({
    topics: { include: ["orders-*", "payments"], exclude: ["*-old"] },
    topic_mapping: { payments: "orders-paid" },
  });
  expect(await routes(backup, request)).toEqual([
    "orders-eu-0 -> orders-eu-0@1",
    "orders-us-0 -> orders-us-0@1",
    "payments-0 -> orders-paid-0@1",
  ]);
});

test("a glob passes over Kafka's own topics", async () => {
  const backup = await backupOf(topics("orders", "__consumer_offsets"));
  expect(await routes(backup, requestOf())).toEqual(["orders-0 -> orders-0@1"]);
});

test("nothing is restored into a topic of Kafka's own", async () => {
  const backup = await backupOf(topics("orders"));
  const request = requestOf({ topic_mapping: { orders: "__consumer_offsets" } });
  await expect(planRestore(backup, request)).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: "__consumer_offsets is a topic of Kafka's own",
  });
});

test.each([
  ["include", { topics: { include: ["ordres"], exclude: [] } }, 'did you mean "orders"?'],
  ["include glob", { topics: { include: ["x-*"], exclude: [] } }, 'the pattern "x-*"'],
  ["exclude", { topics: { include: ["*"], exclude: ["*"] } }, "leaves nothing"],
  ["topic_mapping", { topic_mapping: { ordres: "x" } }, 'did you mean "orders"?'],
  ["partition_mapping", { partition_mapping: { ordres: { 0: 1 } } }, "restore.partition_mapping"],
  ["lineage", { lineage: { ordres: 1 } }, "restore.lineage"],
])("K6 a topic of %s that the backup does not hold is named", async (_key, change, message) => {
  const backup = await backupOf(topics("orders"));
  await expect(planRestore(backup, requestOf(change))).rejects.toMatchObject({
    name: "TopicNotFoundError",
    message: expect.stringContaining(message),
  });
});

test("two topics into one are refused", async () => {
  const backup = await backupOf(topics("orders", "payments"));
  const request = requestOf({ topic_mapping: { orders: "payments" } });
  await expect(planRestore(backup, request)).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: 'topics "orders" and "payments" would both be restored into "payments"',
  });
});

test("a target name that Kafka would refuse is refused", async () => {
  const backup = await backupOf(topics("orders"));
  const request = requestOf({ topic_mapping: { orders: "a/b" } });
  await expect(planRestore(backup, request)).rejects.toMatchObject({
    name: "InvalidRequestError",
  });
});

const twoPartitions = (): SyntheticPartition[] => [
  { partition: 0, segments: segments() },
  { partition: 1, segments: segments() },
];

test("partitions may change places, and the target has room for the highest", async () => {
  const backup = await backupOf(twoPartitions());
  const request = requestOf({ partition_mapping: { orders: { 0: 4, 1: 0 } } });
  expect(await routes(backup, request)).toEqual([
    "orders-0 -> orders-4@1",
    "orders-1 -> orders-0@1",
  ]);
  expect((await planRestore(backup, request)).topics[0]?.partition_count).toBe(5);
});

test("two partitions into one are refused, mapped or not", async () => {
  const backup = await backupOf(twoPartitions());
  const request = requestOf({ partition_mapping: { orders: { 0: 1 } } });
  await expect(planRestore(backup, request)).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: expect.stringContaining("partitions 0 and 1 would both be restored into partition 1"),
  });
});

test("a mapping of a partition that the topic does not have is refused", async () => {
  const backup = await backupOf(twoPartitions());
  const request = requestOf({ partition_mapping: { orders: { 7: 0 } } });
  await expect(planRestore(backup, request)).rejects.toMatchObject({
    message: expect.stringContaining("there is no partition 7, the topic has 2"),
  });
});

/** Created anew before the second run, with one partition more. */
const lives = () =>
  backupOf(
    [{ partition: 0, lineage: 1, segments: segments() }],
    [
      { partition: 0, lineage: 2, segments: segments() },
      { partition: 1, lineage: 1, topicId: "id-of-orders-2________", segments: segments() },
    ],
  );

test("the newest lineage is restored", async () => {
  const expected = ["orders-0 -> orders-0@2", "orders-1 -> orders-1@1"];
  expect(await routes(await lives(), requestOf())).toEqual(expected);
});

test("a window that ends before the newest lineage began is refused with all lineages", async () => {
  const request = requestOf({ window: { end: firstPlannedAt + hourMs - 1n } });
  await expect(planRestore(await lives(), request)).rejects.toMatchObject({
    name: "InvalidRequestError",
    message: expect.stringMatching(/orders-0 .*lineage began: 1 \(.*6 records\); 2 \(/),
    hint: expect.stringContaining("--lineage N"),
  });
});

test("a window that ends when the newest lineage began takes it", async () => {
  const request = requestOf({ window: { end: firstPlannedAt + hourMs } });
  expect(await routes(await lives(), request)).toContain("orders-0 -> orders-0@2");
});

test("a lineage that is named is taken, with the partitions of that life of the topic", async () => {
  const window = { end: firstPlannedAt };
  const first = await planRestore(await lives(), requestOf({ window, lineage: 1 }));
  expect(first.topics[0]?.partitions).toMatchObject([
    { source_partition: 0, lineage: { lineage: 1 } },
  ]);
  expect(first.findings).toMatchObject([{ code: "partitions-not-in-backup" }]);
  expect(await routes(await lives(), requestOf({ lineage: 2 }))).toEqual([
    "orders-0 -> orders-0@2",
    "orders-1 -> orders-1@1",
  ]);
});

test("lineages may be chosen by topic and by partition", async () => {
  const byTopic = requestOf({ lineage: { orders: 1 } });
  expect(await routes(await lives(), byTopic)).toEqual(["orders-0 -> orders-0@1"]);
  const byPartition = requestOf({ lineage: { orders: { 0: 1 } } });
  expect(await routes(await lives(), byPartition)).toEqual([
    "orders-0 -> orders-0@1",
    "orders-1 -> orders-1@1",
  ]);
});

test.each([3, { orders: 3 }, { orders: { 0: 3 } }])(
  "a lineage that no partition has is not found: %j",
  async (lineage) => {
    const plan = planRestore(await lives(), requestOf({ lineage }));
    await expect(plan).rejects.toMatchObject({ name: "BackupNotFoundError" });
  },
);

test("a window that ends after the newest run's plan warns", async () => {
  const backup = await backupOf(topics("orders"));
  const upTo = async (end: bigint) =>
    (await planRestore(backup, requestOf({ window: { end } }))).findings.map(({ code }) => code);
  expect(await upTo(firstPlannedAt)).toEqual([]);
  expect(await upTo(firstPlannedAt + 1n)).toEqual(["window-beyond-backup"]);
});

test("gaps of a partition are told with their offsets", async () => {
  const gaps = [{ from_offset: 6n, to_offset: 9n }];
  const backup = await backupOf([{ segments: segments(), endOffset: 9n, gaps }]);
  expect((await planRestore(backup, requestOf())).findings).toMatchObject([
    { severity: "warning", code: "gap", message: expect.stringContaining("[6, 9)") },
  ]);
});
