/** I3: what format version 1 wrote is restored for ever, to the record. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { testEngine } from "#test/support/engine.ts";
import {
  type ExpectedBackup,
  type ExpectedPartition,
  type ExpectedRecord,
  expectedRecord,
  goldenObjects,
  goldenRecords,
  type Objects,
  storageOf,
} from "#test/support/golden-backup.ts";
import { connectForTests, randomName } from "#test/support/kafka.ts";
import { linesOf } from "#test/support/oracle.ts";

let cluster: Cluster;
let objects: Objects;
let expected: ExpectedBackup;

beforeAll(async () => {
  [cluster, objects, expected] = await Promise.all([
    connectForTests(),
    goldenObjects(),
    goldenRecords(),
  ]);
});
afterAll(() => cluster?.disconnect());

type ByPartition = Record<string, readonly ExpectedRecord[]>;

/** What Kafka's own consumer sees of the restored topics, by source topic and partition. */
async function restored(
  backupId: string,
  topics: readonly string[],
  request: Partial<RestoreRequest> = {},
): Promise<ByPartition> {
  const engine = testEngine(cluster, { storage: await storageOf(objects), backupId });
  const mapping = Object.fromEntries(topics.map((topic) => [topic, randomName("golden")]));
  const { status, failed } = await engine.restore(mapping, request);
  expect({ status, failed }).toEqual({ status: "done", failed: [] });
  const sources = new Map(Object.entries(mapping).map(([source, target]) => [target, source]));
  const seen: Record<string, ExpectedRecord[]> = {};
  for (const line of await linesOf(Object.values(mapping))) {
    const [target, partition] = line.split("\t");
    const place = `${sources.get(target!)}-${partition}`;
    seen[place] ??= [];
    seen[place].push(expectedRecord(line));
  }
  return seen;
}

/** The records of the source, at the offsets that a fresh topic gives them. */
function records(wants: (life: ExpectedPartition) => boolean): ByPartition {
  return Object.fromEntries(
    expected.records
      .filter(wants)
      .map((life) => [
        `${life.topic}-${life.partition}`,
        life.records.map((record, offset) => ({ ...record, offset })),
      ]),
  );
}

test("I3 F1 F2: the golden backup comes back as Kafka's own consumer saw its source", async () => {
  const topics = [...new Set(expected.records.map(({ topic }) => topic))];
  // Lives are in the order in which they were: of one partition the newest one counts.
  expect(await restored("golden", topics)).toEqual(records(() => true));
});

test("I3: the life of a topic before it was created anew comes back when it is chosen", async () => {
  const first = expected.records.find(({ topic }) => topic === "recreated");
  expect(first?.records).toHaveLength(5);
  const request = { lineage: { recreated: { 0: 1 } } };
  const seen = await restored("golden", ["recreated"], request);
  expect(seen["recreated-0"]).toEqual(records((life) => life === first)["recreated-0"]);
});

test.each(["golden-lz4", "golden-gz", "golden-sz", "golden-log"])(
  "I3 F1: %s comes back as Kafka's own consumer saw its source",
  async (backupId) => {
    const topics = ["codecs", "odd"];
    const wanted = records(({ topic }) => topics.includes(topic));
    expect(await restored(backupId, topics)).toEqual(wanted);
  },
);
