/**
 * Logs in the formats before record batches, as a broker wrote them: of a Kafka on ZooKeeper, which
 * had them down-converted, to one of today. What each partition holds on disk is asserted, and
 * Kafka's own consumer is the judge of both sides.
 */
import { hash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type BatchCodec, batchCodecs, batchSizeAt, codecMask } from "#core/kafka/record-batch.ts";
import { forEachTargetRecord } from "#core/offsets/target-records.ts";
import { runValidation } from "#core/validate/run.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { type KafkaOnZookeeper, startKafkaOnZookeeper } from "#local/kafka-zookeeper.ts";
import { append } from "#test/support/append.ts";
import { compactionOf } from "#test/support/broker-files.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests } from "#test/support/kafka.ts";
import { withOffsetHeaders } from "#test/support/offset-headers.ts";
import { contentsOf, recordsOf, type SeenRecord } from "#test/support/oracle.ts";

/** Of Kafka's messages before record batches; `message.format.version` asks for them. */
const formats = { "0.9.0": 0, "0.10.2": 1, "2.8": 2 } as const;
type Format = keyof typeof formats;
/** zstd came with record batches. */
const codecs = ["none", "gzip", "snappy", "lz4"] as const;

let old: KafkaOnZookeeper;
let today: LocalKafka;
let oldCluster: Cluster;
let newCluster: Cluster;
beforeAll(async () => {
  [old, today] = await Promise.all([startKafkaOnZookeeper(), startKafka({ heapMb: 512 })]);
  oldCluster = await connectForTests({ bootstrap_servers: [old.bootstrapServers] });
  newCluster = await connectForTests({ bootstrap_servers: [today.bootstrapServers] });
});
afterAll(async () => {
  await Promise.all([oldCluster?.disconnect(), newCluster?.disconnect()]);
  await Promise.all([old?.stop(), today?.stop()]);
});

async function createTopic(topic: string, format: Format, config: Record<string, string> = {}) {
  const all = { "retention.ms": "-1", "message.format.version": format, ...config };
  await oldCluster.createTopics([{ topic, partitionCount: 1, replicationFactor: 1, config: all }]);
}

function appendBatch(topic: string, records: readonly NewRecord[], codec: BatchCodec) {
  return append(oldCluster, { topic, partition: 0 }, encodeBatch(records, { codec }));
}

const record = (
  timestamp: bigint,
  key: string | null,
  value: string | Buffer | null,
): NewRecord => ({
  timestamp,
  key: key === null ? null : Buffer.from(key),
  value: typeof value === "string" ? Buffer.from(value) : value,
});

const oddRecords: readonly NewRecord[] = [
  record(1_000n, null, "no key"),
  record(1_000n, "no value", null),
  record(999n, null, null),
  record(-1n, "", ""),
  record(0n, "time zero", "."),
  record(2n ** 41n, "a time to come", "\u0000\uffff"),
  record(5n, "large", randomBytes(300_000)),
];

/** More than one fetch brings, so that some end within a message. */
async function appendMany(topic: string, codec: BatchCodec): Promise<void> {
  await appendBatch(topic, oddRecords, codec);
  for (const odd of oddRecords) await appendBatch(topic, [odd], codec);
  for (let first = 0; first < 300; first += 10) {
    const records = Array.from({ length: 10 }, (_, i) =>
      record(BigInt(10_000 + first - i), `key ${first + i}`, randomBytes(10_000)),
    );
    await appendBatch(topic, records, codec);
  }
}

interface Entry {
  readonly magic: number;
  readonly codec: BatchCodec | undefined;
}

/** Messages, wrappers and batches of partition 0 as they lie in its files. */
async function entriesOnDisk(topic: string): Promise<Entry[]> {
  const folder = join(old.dataDir, `${topic}-0`);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".log"));
  const entries: Entry[] = [];
  for (const name of names.toSorted()) {
    const log = await readFile(join(folder, name));
    for (let position = 0; ; ) {
      const size = batchSizeAt(log, position);
      if (size === undefined) break;
      const magic = log[position + 16]!;
      const attributes = log[position + (magic === 2 ? 22 : 17)]!;
      entries.push({ magic, codec: batchCodecs[attributes & codecMask] });
      position += size;
    }
  }
  return entries;
}

const kindsOf = (entries: readonly Entry[]) =>
  new Set(entries.map(({ magic, codec }) => `magic ${magic}, ${codec}`));

/** The same backup, seen from the cluster that it is restored to. */
function engineOfToday({ storage, backupId }: TestEngine): TestEngine {
  return testEngine(newCluster, { storage, backupId });
}

async function expectSound(engine: TestEngine): Promise<void> {
  const request = { backup_id: engine.backupId, level: "deep" } as const;
  const { findings } = await runValidation(engine, request, noDeadline);
  expect(findings.filter(({ severity }) => severity !== "info")).toEqual([]);
}

/** Of what consumers see of each record of a topic, in order. */
function digests(records: readonly SeenRecord[], topic: string): string[] {
  return records
    .filter((record) => record.topic === topic)
    .map(({ timestamp, content }) => `${timestamp} ${hash("sha256", content)}`);
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

interface Case {
  readonly topic: string;
  readonly title: string;
  readonly format: Exclude<Format, "2.8">;
  readonly codec: (typeof codecs)[number];
  readonly config?: Record<string, string>;
}

const eachCodec = codecs.flatMap((codec) =>
  (["0.9.0", "0.10.2"] as const).map((format): Case => {
    const magic = formats[format];
    const title = `F1: magic ${magic}, ${codec}`;
    return { topic: `old-${magic}-${codec}`, title, format, codec };
  }),
);
const appendTimes = (["none", "gzip"] as const).map((codec): Case => {
  const [topic, title] = [`appended-${codec}`, `F1: append times of magic 1, ${codec}`];
  const config = { "message.timestamp.type": "LogAppendTime" };
  return { topic, title, format: "0.10.2", codec, config };
});
const compacted = eachCodec
  .filter(({ codec }) => codec === "none" || codec === "gzip")
  .map((plain): Case => {
    const title = `F3: holes of compaction in magic ${formats[plain.format]}, ${plain.codec}`;
    const config = {
      "cleanup.policy": "compact",
      "segment.ms": "100",
      "min.cleanable.dirty.ratio": "0.01",
      "max.compaction.lag.ms": "100",
    };
    return { ...plain, topic: `compacted-${plain.topic}`, title, config };
  });
const cases = [...eachCodec, ...appendTimes, ...compacted];

/** The cleaner leaves the active segment alone: further records, of later times, roll it. */
async function appendCompacted({ topic, codec }: Case): Promise<void> {
  for (let first = 0; first < 200; first += 10) {
    const records = numbers(first, first + 10).map((n) =>
      record(BigInt(n), n % 3 === 0 ? `once ${n}` : `again ${n % 10}`, `${n}`),
    );
    await appendBatch(topic, records, codec);
  }
  for (let i = 1; ; i++) {
    const { cleaned, cleanable } = await compactionOf(topic, old.dataDir);
    if (cleanable >= 200n && cleaned === cleanable) return;
    const later = record(BigInt(i * 1_000_000), `roll ${i}`, "");
    if (cleanable < 200n) await appendBatch(topic, [later], codec);
    await sleep(100);
  }
}

describe("one backup of old logs, restored to a Kafka of today", () => {
  const topics = cases.map(({ topic }) => topic);
  let engine: TestEngine;
  let source: SeenRecord[];
  beforeAll(async () => {
    for (const { topic, format, config } of cases) await createTopic(topic, format, config);
    for (const { topic, codec } of [...eachCodec, ...appendTimes]) await appendMany(topic, codec);
    await Promise.all(compacted.map(appendCompacted));
    source = await recordsOf(topics, old);
    engine = testEngine(oldCluster);
    expect(await engine.backup(topics)).toMatchObject({
      status: "done",
      record_count: source.length,
    });
  });

  test.each(cases)("$title is what lies on the source's disk", async (each) => {
    const { topic, format, codec } = each;
    const entries = await entriesOnDisk(topic);
    expect(kindsOf(entries)).toEqual(new Set([`magic ${formats[format]}, ${codec}`]));
    const { length } = source.filter((seen) => seen.topic === topic);
    if (codec === "none") expect(entries).toHaveLength(length);
    else expect(entries.length).toBeLessThan(length);
  });

  test("F3: compaction left holes within what a producer sent at once", () => {
    for (const { topic } of compacted) {
      const offsets = source.filter((seen) => seen.topic === topic).map(({ offset }) => offset);
      expect(offsets.slice(0, 5)).toEqual([0n, 3n, 6n, 9n, 12n]);
    }
  });

  test("the archive passes every check", () => expectSound(engine));

  describe("as it is", () => {
    let contents: [Map<string, string>, Map<string, string>];
    beforeAll(async () => {
      const mapping = Object.fromEntries(topics.map((topic) => [topic, `${topic}-restored`]));
      const { failed } = await engineOfToday(engine).restore(mapping);
      expect(failed).toEqual([]);
      contents = [await contentsOf(topics, old), await contentsOf(Object.values(mapping), today)];
    });

    test.each(cases)("$title comes back as Kafka's consumer reads it there", ({ topic }) => {
      const [before, after] = contents;
      expect(before.get(`${topic}/0`)).toMatch(/^[1-9]\d* records /);
      expect(after.get(`${topic}-restored/0`)).toBe(before.get(`${topic}/0`));
    });
  });

  describe("with its offsets and times in headers", () => {
    let restored: SeenRecord[];
    beforeAll(async () => {
      const mapping = Object.fromEntries(topics.map((topic) => [topic, `${topic}-headers`]));
      const request = { include_offset_headers: true };
      const { failed } = await engineOfToday(engine).restore(mapping, request, { start_new: true });
      expect(failed).toEqual([]);
      restored = await recordsOf(Object.values(mapping), today);
    });

    test.each(cases)("$title has those that it has there", ({ topic }) => {
      const expected = digests(source.map(withOffsetHeaders), topic);
      expect(digests(restored, `${topic}-headers`)).toEqual(expected);
    });
  });

  test.each(cases)("$title is read from any offset, as the target of a reset is", async (each) => {
    const { topic } = each;
    const seen = source.filter((record) => record.topic === topic).map(({ offset }) => offset);
    for (const from of [0n, 3n, 7n, 15n, 104n]) {
      const to = from + 90n;
      const read: bigint[] = [];
      const range = { topic, partition: 0, from, to };
      await forEachTargetRecord(oldCluster, range, noDeadline, ({ offset }) => {
        read.push(offset);
        return undefined;
      });
      expect(read).toEqual(seen.filter((offset) => offset >= from && offset < to));
    }
  });
});

test.each(eachCodec.filter(({ codec }) => codec === "lz4"))(
  "$title can be restored beside itself, to record batches",
  async ({ topic: like, format }) => {
    const topic = `lost-${like}`;
    await createTopic(topic, format);
    await appendBatch(topic, oddRecords, "lz4");
    const engine = testEngine(oldCluster);
    await engine.backup([topic]);
    const copy = `${topic}-restored`;
    const { failed, report } = await engine.restore({ [topic]: copy });
    expect(failed).toEqual([]);
    expect(report.findings).toMatchObject([
      { severity: "warning", code: "setting-dropped", topic: copy },
    ]);
    expect(kindsOf(await entriesOnDisk(copy))).toEqual(new Set(["magic 2, lz4"]));
    const contents = await contentsOf([topic, copy], old);
    expect(contents.get(`${copy}/0`)).toBe(contents.get(`${topic}/0`));
  },
);

test("a target that keeps the old formats gets nothing, and is named with what to do", async () => {
  const [topic, copy] = ["kept", "kept-restored"];
  await createTopic(topic, "0.10.2");
  await appendBatch(topic, oddRecords, "none");
  const engine = testEngine(oldCluster);
  await engine.backup([topic]);
  await createTopic(copy, "0.10.2");
  await expect(engine.restore({ [topic]: copy })).rejects.toMatchObject({
    name: "BrokerUnavailableError",
    message: expect.stringContaining(`${copy}-0: the leader does not know where its epoch`),
    hint: expect.stringContaining("message.format.version"),
  });
  expect(await entriesOnDisk(copy)).toEqual([]);
});

test("F2: a partition that went from magic 0 over 1 to 2 goes on where its last backup ended", async () => {
  const topic = "of-many-years";
  await createTopic(topic, "0.9.0");
  const engine = testEngine(oldCluster);
  for (const [format, magic] of Object.entries(formats)) {
    const change = { name: "message.format.version", set: format };
    await oldCluster.alterTopicSettings(topic, [change]);
    // The broker follows a change of its settings in its own time.
    do await appendBatch(topic, oddRecords, "gzip");
    while ((await entriesOnDisk(topic)).at(-1)!.magic !== magic);
    await appendBatch(topic, oddRecords, "none");
    expect(await engine.backup([topic])).toMatchObject({ status: "done" });
  }
  const magics = (await entriesOnDisk(topic)).map(({ magic }) => magic);
  expect(magics).toEqual(magics.toSorted());
  expect(new Set(magics)).toEqual(new Set([0, 1, 2]));
  const { manifest } = (await engine.catalog.latestManifest(engine.backupId))!;
  expect(manifest.topics[0]!.partitions[0]!.lineages).toHaveLength(1);
  await expectSound(engine);
  const { failed } = await engineOfToday(engine).restore({ [topic]: topic });
  expect(failed).toEqual([]);
  const before = (await contentsOf([topic], old)).get(`${topic}/0`);
  expect((await contentsOf([topic], today)).get(`${topic}/0`)).toBe(before);
});
