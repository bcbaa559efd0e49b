/** Restores that give each record its source offset and timestamp, as Kafka's own consumer sees them. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import type { RestoreResult } from "#core/restore/run.ts";
import { append, appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { withOffsetHeaders } from "#test/support/offset-headers.ts";
import { produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { ownSettings } from "#test/support/restore-on-kafka.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

const withHeaders = { include_offset_headers: true };
const scenarios = ["odd", "gzip", "snappy", "lz4", "zstd", "transactions", "single", "times"];
const keepAll = { "retention.ms": "-1" };
/** Kafka's own default of max.message.bytes. */
const limit = 1_048_588;

/** One batch of exactly the size that a topic takes, or a few bytes less. */
function fullBatch(recordCount: number): Buffer {
  for (let valueBytes = Math.floor(limit / recordCount); ; valueBytes--) {
    const records = Array.from({ length: recordCount }, () => ({
      timestamp: BigInt(Date.now()),
      key: null,
      value: randomBytes(valueBytes),
    }));
    const batch = encodeBatch(records, { codec: "none" });
    if (batch.length <= limit) return batch;
  }
}

let cluster: Cluster;
/** By scenario, and the topics of this file's own. */
let topics: Record<string, string>;
let restored: Record<string, string>;
let result: RestoreResult;
/** Restores of what was restored, of a backup that asked for headers, and of that without. */
let others: { twice: string; byDefault: string; without: string };
let seen: Map<string, SeenRecord[]>;

beforeAll(async () => {
  cluster = await connectForTests();
  topics = await makeTopics();
  restored = Object.fromEntries(
    Object.entries(topics).map(([name]) => [name, randomName(`restored-${name}`)]),
  );
  const engine = testEngine(cluster);
  await engine.backup(Object.values(topics));
  const mapping = Object.entries(topics).map(([name, topic]) => [topic, restored[name]!]);
  result = await engine.restore(Object.fromEntries(mapping), withHeaders);
  others = await restoreOthers(topics.numbered!, restored.numbered!);
  const all = [topics, restored, others].flatMap((names) => Object.values(names));
  seen = Map.groupBy(await recordsOf(all), ({ topic }) => topic);
});
afterAll(() => cluster.disconnect());

async function makeTopics(): Promise<Record<string, string>> {
  const byScenario = await Promise.all(
    scenarios.map(async (prefix) => {
      return [prefix, await createTopic(cluster, { prefix, partitionCount: 2, config: keepAll })];
    }),
  );
  const config = { "message.timestamp.type": "LogAppendTime" };
  const own = {
    "append-time": await createTopic(cluster, { config }),
    numbered: await createTopic(cluster),
    "full-batch": await createTopic(cluster),
    "full-record": await createTopic(cluster),
  };
  await appendNumbered(cluster, { topic: own["append-time"], from: 0, count: 20 });
  await appendNumbered(cluster, { topic: own.numbered, from: 0, count: 30 });
  await append(cluster, { topic: own["full-batch"], partition: 0 }, fullBatch(1_000));
  await append(cluster, { topic: own["full-record"], partition: 0 }, fullBatch(1));
  await produceTraffic(byScenario.map(([scenario, topic]) => [scenario!, topic!]));
  return { ...Object.fromEntries(byScenario), ...own };
}

async function restoreOthers(numbered: string, restoredOnce: string): Promise<typeof others> {
  const [twice, byDefault, without] = [0, 1, 2].map(() => randomName("restored"));
  const second = testEngine(cluster);
  await second.backup([restoredOnce]);
  await second.restore({ [restoredOnce]: twice! }, withHeaders);
  const wishing = testEngine(cluster);
  await wishing.backup([numbered], {}, undefined, withHeaders);
  await wishing.restore({ [numbered]: byDefault! });
  await wishing.restore({ [numbered]: without! }, { include_offset_headers: false });
  return { twice: twice!, byDefault: byDefault!, without: without! };
}

/** What can be seen of a topic's records but their offsets. */
function visible(records: readonly SeenRecord[]): string[] {
  return records.map(
    ({ partition, timestamp, content }) => `${partition}\t${timestamp}\t${content}`,
  );
}

function expectWithHeaders(source: string, target: string): void {
  const records = seen.get(source)!;
  expect(records.length).toBeGreaterThan(0);
  expect(visible(seen.get(target)!)).toEqual(visible(records.map(withOffsetHeaders)));
}

test.each(scenarios)(
  "F1 F4 F7: of the traffic `%s` every record has two more headers and no other change",
  (name) => {
    expectWithHeaders(topics[name]!, restored[name]!);
  },
);

test("every batch was encoded anew, and the report says why", () => {
  expect(result.failed).toEqual([]);
  expect(result.report).toMatchObject({ include_offset_headers: true, sent: { raw: 0 } });
});

test("F8: with LogAppendTime the header has the time that consumers of the source saw", () => {
  expectWithHeaders(topics["append-time"]!, restored["append-time"]!);
});

test("F1: headers that were there under the same names stay, and ours come after them", () => {
  expectWithHeaders(restored.numbered!, others.twice);
  const [record] = seen.get(others.twice)!;
  const name = Buffer.from("x-original-offset").toString("hex");
  expect(record!.content.match(new RegExp(name, "g"))).toHaveLength(2);
});

test("a backup's wish holds for a restore that does not say otherwise", () => {
  expectWithHeaders(topics.numbered!, others.byDefault);
  expect(visible(seen.get(others.without)!)).toEqual(visible(seen.get(topics.numbered!)!));
});

describe("R6: headers that make records too large:", () => {
  test("a full batch is split", () => {
    expectWithHeaders(topics["full-batch"]!, restored["full-batch"]!);
    const { sent } = result.report.topics.find(
      ({ target_topic }) => target_topic === restored["full-batch"],
    )!;
    expect(sent.encoded).toBe(2);
  });

  test("room is made for a record as large as the source takes, and taken back", async () => {
    expectWithHeaders(topics["full-record"]!, restored["full-record"]!);
    const settings = await ownSettings(cluster, restored["full-record"]!);
    expect(settings).not.toHaveProperty("max.message.bytes");
  });

  test("where no room may be made, preflight warns, and such a record is refused by name", async () => {
    const source = topics["full-record"]!;
    const config = { ...keepAll, "max.message.bytes": String(limit) };
    const target = await createTopic(cluster, { config });
    const engine = testEngine(
      wrappedCluster(cluster, {
        // As for credentials without ALTER_CONFIGS.
        validateTopicSettings: (name, changes) =>
          cluster.validateTopicSettings(name, [
            ...changes,
            { name: "max.message.bytes", set: "not to be set" },
          ]),
      }),
    );
    await engine.backup([source]);
    await expect(engine.restore({ [source]: target }, withHeaders)).rejects.toMatchObject({
      name: "RecordTooLargeError",
      message: expect.stringMatching(
        new RegExp(`^${source}-0: the record at offset 0 makes a batch of \\d+ bytes with its`),
      ),
    });
    expect(await cluster.logEndOffset({ topic: target, partition: 0 })).toMatchObject({
      endOffset: 0n,
    });
    const [begun] = await restoresOf(engine.storage, engine.backupId);
    expect((await begun!.intent())?.findings).toContainEqual(
      expect.objectContaining({
        severity: "warning",
        code: "setting-unchangeable",
        message: expect.stringMatching(
          /^max.message.bytes=1048588 cannot be changed .*larger with its offset headers fails$/,
        ),
      }),
    );
  });

  test("without headers the same record goes as it is", async () => {
    const engine = testEngine(cluster);
    await engine.backup([topics["full-record"]!]);
    const target = randomName("restored");
    const { report } = await engine.restore({ [topics["full-record"]!]: target });
    expect(report.sent).toMatchObject({ raw: 1, encoded: 0 });
  });
});
