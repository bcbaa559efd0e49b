/**
 * Good records, a backup, bad records, a second backup that holds the damage, and a restore to the
 * millisecond before it. Two applications of Kafka's own consumer, of both protocols, read all
 * along and resume on what was restored: what they read twice, or never, is counted for each offset
 * source. Each case has a copy of the backup and a target topic of its own.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { OffsetSource } from "#core/offsets/contract.ts";
import { takeSnapshot } from "#core/offsets/snapshot.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import type { ThreePhaseReport } from "#core/three-phase/documents.ts";
import { type ReadRecord, readAs, valuesOf } from "#test/e2e/three-phase/applications.ts";
import {
  copyOf,
  requestOf,
  runPhases,
  threePhaseDeps,
} from "#test/e2e/three-phase/three-phases.ts";
import { appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";

const partitions = [0, 1, 2];
const goodCount = 30;

let cluster: Cluster;
let topic: string;
let storage: StorageBackend;
let backupId: string;
let snapshotId: string;
let windowEnd: bigint;
/** It was quick, and has read bad records by the time of the second backup. */
const quick = randomName("quick");
/** It was slow, and has good records left to read. */
const slow = randomName("slow");
/** All that the two read of the source. */
const before: ReadRecord[] = [];

/** Each reads so many more records of every partition. */
async function read(quickCount: number, slowCount: number): Promise<void> {
  const applications = [
    { group: quick, protocol: "classic", count: quickCount } as const,
    { group: slow, protocol: "consumer", count: slowCount } as const,
  ];
  before.push(...(await readAs(applications, [topic], "earliest")));
}

async function append(from: number, count: number): Promise<void> {
  for (const partition of partitions) {
    await appendNumbered(cluster, { topic, partition, from, count, perBatch: 7 });
  }
}

beforeAll(async () => {
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: partitions.length, prefix: "payments" });
  storage = openMemory();
  const engine = testEngine(cluster, { storage });
  backupId = engine.backupId;
  await append(0, 20);
  await read(10, 5);
  await engine.backup([topic]);
  await append(20, 10);
  windowEnd = BigInt(Date.now());
  await sleep(5);
  await append(goodCount, 10);
  await read(10, 3);
  const groups = { groups: [quick, slow] };
  const snapshot = { groups, description: "in the middle of it" };
  snapshotId = (await takeSnapshot(threePhaseDeps(storage, cluster), snapshot)).snapshot_id;
  await read(13, 4);
  await engine.backup([topic]);
  await read(2, 6);
});
afterAll(() => cluster.disconnect());

async function restoreBy(
  offset_source: OffsetSource | undefined,
  target: string,
): Promise<ThreePhaseReport> {
  const request = requestOf(
    backupId,
    { [topic]: target },
    {
      restore: { window: { end: windowEnd } },
      groups: { groups: [quick, slow] },
      ...(offset_source !== undefined && { offset_source }),
    },
  );
  const { status, report } = await runPhases(
    threePhaseDeps(await copyOf(storage), cluster),
    request,
  );
  expect(status).toBe("done");
  return report!;
}

interface Expected {
  /** Per partition: good records that the quick and the slow one read a second time. */
  readonly quickTwice: number;
  readonly slowTwice: number;
}

const cases: readonly (readonly [name: string, source: () => OffsetSource, Expected])[] = [
  // Run 1: they had read 10 and 5 of the 30, and go on from there.
  ["at-window-end", () => "at-window-end", { quickTwice: 20, slowTwice: 18 - 5 }],
  // Run 2: 33 and 12. What the slow one read since then, it reads again.
  ["latest", () => "latest", { quickTwice: 0, slowTwice: 18 - 12 }],
  // 35 and 18: nothing good is read twice.
  ["current", () => "current", { quickTwice: 0, slowTwice: 0 }],
  // 20 and 8.
  ["snapshot:ID", () => `snapshot:${snapshotId}`, { quickTwice: 10, slowTwice: 18 - 8 }],
];

describe("applications that resume after a restore to the millisecond before the bad records", () => {
  let targets: ReadonlyMap<string, string>;
  let after: readonly ReadRecord[];
  beforeAll(async () => {
    targets = new Map(cases.map(([name]) => [name, randomName("restored")]));
    for (const [name, source] of cases) {
      const report = await restoreBy(source(), targets.get(name)!);
      expect(report.restored.record_count).toBe(BigInt(goodCount * partitions.length));
    }
    const applications = [
      { group: quick, protocol: "classic", count: "end" } as const,
      { group: slow, protocol: "consumer", count: "end" } as const,
    ];
    after = await readAs(applications, [...targets.values()], "none");
  });

  test.each(cases)(
    "by %s read again what its definition says, miss no good record, and see no bad one",
    (name, _source, { quickTwice, slowTwice }) => {
      for (const [group, expectedTwice] of [
        [quick, quickTwice] as const,
        [slow, slowTwice] as const,
      ]) {
        const seen = new Set(valuesOf(before, group));
        const resumed = valuesOf(after, group, [targets.get(name)!]);
        const twice = resumed.filter((value) => seen.has(value));
        expect(twice, `${group} by ${name}`).toHaveLength(expectedTwice * partitions.length);
        const all = new Set([...seen, ...resumed]);
        const good = partitions.flatMap((partition) =>
          Array.from({ length: goodCount }, (_, i) => `${partition} record ${i} `),
        );
        expect(good.filter((value) => !all.has(value))).toEqual([]);
        expect(resumed.filter((value) => !good.includes(value))).toEqual([]);
        expect(new Set(resumed).size).toBe(resumed.length);
      }
    },
  );
});

test("a window makes at-window-end the offset source unless told otherwise", async () => {
  const report = await restoreBy(undefined, randomName("restored"));
  expect(report.offset_source).toBe("at-window-end");
  expect(report.groups.flatMap((group) => group.partitions)).toHaveLength(2 * partitions.length);
});
