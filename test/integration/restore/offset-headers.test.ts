/** Restores that give each record its source offset and timestamp, as Kafka's own consumer sees them. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import { append, appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { withOffsetHeaders } from "#test/support/offset-headers.ts";
import { produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { ownSettings } from "#test/support/restore-on-kafka.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

const withHeaders = { include_offset_headers: true };
const scenarios = ["odd", "gzip", "snappy", "lz4", "zstd", "transactions", "single", "times"];
let cluster: Cluster;

beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster.disconnect());

/** Restores `topics` with headers and compares every record; returns the targets' names. */
async function expectWithHeaders(
  topics: readonly string[],
  engine = testEngine(cluster),
): Promise<Record<string, string>> {
  const mapping = Object.fromEntries(topics.map((topic) => [topic, randomName("restored")]));
  await engine.backup(topics);
  const { failed, report } = await engine.restore(mapping, withHeaders);
  expect(failed).toEqual([]);
  expect(report).toMatchObject({ include_offset_headers: true, sent: { raw: 0 } });
  const seen = await recordsOf([...topics, ...Object.values(mapping)]);
  expect(new Set(seen.map(({ topic }) => topic)).size).toBe(2 * topics.length);
  const byPlace = Map.groupBy(seen, ({ topic, partition }) => `${topic}/${partition}`);
  for (const [place, source] of byPlace) {
    const [topic, partition] = place.split("/");
    const target = mapping[topic!];
    if (target === undefined) continue;
    const restored = byPlace.get(`${target}/${partition}`) ?? [];
    expect(restored.map(({ offset }) => offset)).toEqual(source.map((_, i) => BigInt(i)));
    const visible = ({ timestamp, content }: SeenRecord) => `${timestamp}\t${content}`;
    expect(restored.map(visible)).toEqual(source.map(withOffsetHeaders).map(visible));
  }
  return mapping;
}

test("F1 F4 F7: whatever a producer wrote comes back with two more headers and no other change", async () => {
  const config = { "retention.ms": "-1" };
  const topics = await Promise.all(
    scenarios.map((prefix) => createTopic(cluster, { prefix, partitionCount: 2, config })),
  );
  await produceTraffic(scenarios.map((scenario, i) => [scenario, topics[i]!]));
  await expectWithHeaders(topics);
});

test("F8: with LogAppendTime the header has the time that consumers of the source saw", async () => {
  const topic = await createTopic(cluster, {
    config: { "message.timestamp.type": "LogAppendTime" },
  });
  await appendNumbered(cluster, { topic, from: 0, count: 20 });
  await expectWithHeaders([topic]);
});

test("F1: headers that were there under the same names stay, and ours come after them", async () => {
  const first = await createTopic(cluster);
  await appendNumbered(cluster, { topic: first, from: 0, count: 30 });
  // The second restore restores what the first one gave headers to.
  const engine = testEngine(cluster);
  const { [first]: second } = await expectWithHeaders([first], engine);
  const mapping = await expectWithHeaders([second!]);
  const [record] = await recordsOf([mapping[second!]!]);
  expect(record!.content.match(/782d6f726967696e616c2d6f6666736574/g)).toHaveLength(2);
});

test("a backup's wish holds for a restore that does not say otherwise", async () => {
  const topic = await createTopic(cluster);
  await appendNumbered(cluster, { topic, from: 0, count: 5 });
  const engine = testEngine(cluster);
  await engine.backup([topic], {}, undefined, withHeaders);
  const [asked, not] = [randomName("asked"), randomName("not")];
  await engine.restore({ [topic]: asked });
  await engine.restore({ [topic]: not }, { include_offset_headers: false });
  const [source, byDefault, without] = await Promise.all(
    [topic, asked, not].map((name) => recordsOf([name])),
  );
  expect(byDefault!.map(({ content }) => content)).toEqual(
    source!.map((record) => withOffsetHeaders(record).content),
  );
  expect(without!.map(({ content }) => content)).toEqual(source!.map(({ content }) => content));
});

describe("R6: headers that make records too large:", () => {
  const record = (bytes: number): NewRecord => ({
    timestamp: BigInt(Date.now()),
    key: null,
    value: randomBytes(bytes),
  });
  const limit = 1_048_588;

  /** One batch of exactly the size that the topic takes. */
  function fullBatch(recordCount: number): Buffer {
    const batchOf = (slack: number) => {
      const bytes = Math.floor(limit / recordCount) - slack;
      return encodeBatch(
        Array.from({ length: recordCount }, () => record(bytes)),
        { codec: "none" },
      );
    };
    for (let slack = 0; ; slack++) {
      const batch = batchOf(slack);
      if (batch.length <= limit) return batch;
    }
  }

  async function topicWith(batch: Buffer): Promise<string> {
    const topic = await createTopic(cluster);
    await append(cluster, { topic, partition: 0 }, batch);
    return topic;
  }

  test("a batch that is too large with its headers goes in two", async () => {
    const topic = await topicWith(fullBatch(1_000));
    await expectWithHeaders([topic]);
  });

  test("room is made for a record as large as the source topic takes, and taken back", async () => {
    const batch = fullBatch(1);
    expect(batch.length).toBeGreaterThan(limit - 10);
    const topic = await topicWith(batch);
    const mapping = await expectWithHeaders([topic]);
    expect(await ownSettings(cluster, mapping[topic]!)).not.toHaveProperty("max.message.bytes");
  });

  test("where no room may be made, preflight warns, and such a record is refused by name", async () => {
    const topic = await topicWith(fullBatch(1));
    const config = {
      "retention.ms": "-1",
      "message.timestamp.type": "CreateTime",
      "max.message.bytes": String(limit),
    };
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
    await engine.backup([topic]);
    await expect(engine.restore({ [topic]: target }, withHeaders)).rejects.toMatchObject({
      name: "RecordTooLargeError",
      message: expect.stringMatching(
        new RegExp(`^${topic}-0: the record at offset 0 makes a batch of \\d+ bytes with its`),
      ),
    });
    expect(await recordsOf([target])).toEqual([]);
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
    const topic = await topicWith(fullBatch(1));
    const engine = testEngine(cluster);
    await engine.backup([topic]);
    const { report } = await engine.restore({ [topic]: randomName("restored") });
    expect(report.sent).toMatchObject({ raw: 1, encoded: 0 });
  });
});
