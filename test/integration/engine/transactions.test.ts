/** Transactions that are open, aborted or interleaved where a run ends and the next one begins. */
import type { Producer, Transaction } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { appendNumbered } from "#test/support/append.ts";
import { endCommands, startCommand } from "#test/support/command-runs.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { contentsOf, produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { fetchingSingleBatches } from "#test/support/wrapped-cluster.ts";

const kafka = kafkaForTests();
let cluster: Cluster;
let admin: KafkaAdmin;

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
});
afterAll(async () => {
  endCommands();
  await Promise.all([cluster.disconnect(), admin.disconnect()]);
});

/** One batch of records in an open transaction. */
function send(transaction: Transaction, topic: string, text: string, count = 5): Promise<unknown> {
  const messages = Array.from({ length: count }, (_, i) => ({ key: text, value: `${text} ${i}` }));
  return transaction.send({ topic, messages });
}

async function manifestOf(engine: TestEngine) {
  return (await engine.catalog.latestManifest(engine.backupId))!.manifest;
}

async function nextOffsetOf(engine: TestEngine, topic: string): Promise<bigint> {
  const state = (await manifestOf(engine)).topics.find(({ name }) => name === topic)!;
  return state.partitions[0]!.lineages.at(-1)!.next_offset;
}

/** A broker answers the end of a transaction before it has written the markers. */
async function lastStableReaches(topic: string, offset: bigint): Promise<void> {
  await vi.waitFor(
    async () => {
      const [end] = await cluster.listOffsets([{ topic, partition: 0 }], "lastStable");
      expect(end).toMatchObject({ offset });
    },
    { timeout: 30_000, interval: 100 },
  );
}

describe("F5 a transaction that nobody ends", () => {
  const ageMs = 3_600_000;
  let topic: string;
  let engine: TestEngine;
  let producerId: string;
  let result: BackupResult;

  beforeAll(async () => {
    topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 20 });
    const { code, stdout, stderr } = await kafka.runJava("test/support/java/OpenTransaction.java", [
      kafka.bootstrapServers,
      topic,
      randomName("group"),
      String(Date.now() - ageMs),
    ]);
    expect(code, stderr).toBe(0);
    [producerId] = stdout.split(" ") as [string];
    await appendNumbered(cluster, { topic, from: 20, count: 10 });
    engine = testEngine(cluster);
    result = await engine.backup([topic]);
  });

  test("is reported with its producer id, first offset and age", () => {
    expect(result.status).toBe("done");
    const [hanging, ...others] = result.hanging_transactions;
    expect(others).toEqual([]);
    expect(hanging).toMatchObject({
      topic,
      partition: 0,
      producer_id: BigInt(producerId),
      start_offset: 20n,
    });
    expect(hanging!.age_ms).toBeGreaterThanOrEqual(ageMs);
    expect(hanging!.age_ms).toBeLessThan(ageMs + 600_000);
  });

  test("is told by the command, with what ends it", async () => {
    const run = startCommand("backup", {
      ...{ mode: "backup", backup_id: randomName("hanging"), storage: { backend: "memory" } },
      source: { bootstrap_servers: kafka.bootstrapServers, topics: { include: [topic] } },
    });
    const { code, stdout, stderr } = await run.ended;
    expect(code, stderr).toBe(exitCodes.done);
    expect(JSON.parse(stdout)).toMatchObject({ hanging_transactions: [{ topic }] });
    expect(stderr).toMatch(
      new RegExp(
        `${topic}-0: the transaction of producer ${producerId} is open since offset 20, 1 h.* ago; ` +
          "records behind it are not backed up. `kafka-transactions.sh abort` ends it.",
      ),
    );
  });

  test("holds the backup back to its first offset", async () => {
    expect(result.record_count).toBe(20);
    expect(await nextOffsetOf(engine, topic)).toBe(20n);
  });

  test("holds back the next run as well, which has nothing to do", async () => {
    const next = await engine.backup([topic]);
    expect(next).toMatchObject({ status: "done", record_count: 0, segment_count: 0 });
    expect(next.hanging_transactions).toMatchObject([{ producer_id: BigInt(producerId) }]);
    expect(await nextOffsetOf(engine, topic)).toBe(20n);
  });
});

describe("F4 F5 interleaved transactions of which one outlasts a run", () => {
  let topic: string;
  let aborting: Producer;
  let committing: Producer;
  let first: BackupResult;
  let second: BackupResult;
  let restored: string;
  let engine: TestEngine;

  beforeAll(async () => {
    topic = await createTopic(cluster);
    aborting = await admin.transactionalProducer(randomName("aborting"));
    committing = await admin.transactionalProducer(randomName("committing"));
    await appendNumbered(cluster, { topic, from: 0, count: 5 });
    // Offsets 5 to 9, 15 to 19 and the marker 20 are the aborted one's, 10 to 14 the open one's.
    const aborted = await aborting.transaction();
    await send(aborted, topic, "aborted");
    const open = await committing.transaction();
    await send(open, topic, "committed");
    await send(aborted, topic, "aborted as well");
    await aborted.abort();
    await lastStableReaches(topic, 10n);
    engine = testEngine(fetchingSingleBatches(cluster));
    first = await engine.backup([topic]);
    // It goes on where the run ended, inside of the aborted transaction.
    await send(open, topic, "committed as well");
    await open.commit();
    const empty = await committing.transaction();
    await send(empty, topic, "aborted at last", 1);
    await empty.abort();
    await lastStableReaches(topic, 29n);
    second = await engine.backup([topic]);
    restored = randomName("restored");
    await engine.restore({ [topic]: restored });
  });

  test("the first run ends before the open one, and drops what is aborted", () => {
    expect(first.record_count).toBe(5);
    expect(first.hanging_transactions).toMatchObject([{ start_offset: 10n }]);
  });

  test("the next run takes what was committed since, and nothing aborted", () => {
    expect(second).toMatchObject({ status: "done", record_count: 10, hanging_transactions: [] });
  });

  test("all of it comes back as a read_committed consumer sees it", async () => {
    const contents = await contentsOf([topic, restored]);
    expect(contents.get(`${topic}/0`)).toMatch(/^15 records /);
    expect(contents.get(`${restored}/0`)).toBe(contents.get(`${topic}/0`));
  });

  test("the manifest counts the dropped batches", async () => {
    const [state] = (await manifestOf(engine)).topics;
    expect(state!.partitions[0]!.lineages[0]!.dropped).toEqual({
      aborted: 3,
      control: 3,
      empty: 0,
    });
  });
});

describe("F4 a log that begins", () => {
  const beginnings = [
    { where: "inside of a batch of an aborted transaction", offset: 3, aborted: 2, control: 2 },
    { where: "between batches of an aborted transaction", offset: 5, aborted: 1, control: 2 },
    { where: "on the marker of an aborted transaction", offset: 10, aborted: 0, control: 2 },
    { where: "inside of a batch of a committed one", offset: 13, aborted: 0, control: 1 },
    { where: "on the marker of a committed one", offset: 16, aborted: 0, control: 1 },
  ];
  const engines: TestEngine[] = [];
  const restored = beginnings.map(() => randomName("restored"));
  let kept: SeenRecord[];
  let found: SeenRecord[];

  /** Offsets 0 to 4 and 5 to 9 are aborted, marker 10, 11 to 15 committed, marker 16. */
  beforeAll(async () => {
    const topic = await createTopic(cluster);
    const producer = await admin.transactionalProducer(randomName("producer"));
    const aborted = await producer.transaction();
    await send(aborted, topic, "aborted");
    await send(aborted, topic, "aborted as well");
    await aborted.abort();
    const committed = await producer.transaction();
    await send(committed, topic, "kept");
    await committed.commit();
    kept = await recordsOf([topic]);
    expect(kept.map(({ offset }) => offset)).toEqual([11n, 12n, 13n, 14n, 15n]);
    for (const [i, { offset }] of beginnings.entries()) {
      await admin.deleteRecordsBefore(topic, 0, offset);
      const engine = testEngine(cluster);
      engines.push(engine);
      expect(await engine.backup([topic])).toMatchObject({ status: "done", gaps: [] });
      await engine.restore({ [topic]: restored[i]! });
    }
    found = await recordsOf(restored);
  });

  test.each(beginnings.map((beginning, i) => ({ ...beginning, i })))(
    "$where",
    async ({ i, offset, aborted, control }) => {
      const [state] = (await manifestOf(engines[i]!)).topics;
      expect(state!.partitions[0]!.lineages[0]!.dropped).toEqual({ aborted, control, empty: 0 });
      const contents = found.filter(({ topic }) => topic === restored[i]);
      const wanted = kept.filter((record) => record.offset >= BigInt(offset));
      expect(contents.map(({ content }) => content)).toEqual(wanted.map(({ content }) => content));
    },
  );
});

test("F4 with a fetch that begins at every batch of interleaved transactions", async () => {
  const topic = await createTopic(cluster);
  await produceTraffic([["transactions", topic]]);
  const engine = testEngine(fetchingSingleBatches(cluster));
  await engine.backup([topic]);
  const restored = randomName("restored");
  await engine.restore({ [topic]: restored });
  const contents = await contentsOf([topic, restored]);
  expect(contents.get(`${topic}/0`)).toMatch(/^[1-9]\d* records /);
  expect(contents.get(`${restored}/0`)).toBe(contents.get(`${topic}/0`));
});
