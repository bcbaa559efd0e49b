import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import type { Cluster, FetchRequest } from "#core/kafka/cluster.ts";
import { readBatchHeader } from "#core/kafka/record-batch.ts";
import { settingsOf } from "#core/kafka/settings-of.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";

const kafka = kafkaForTests();
let cluster: Cluster;

beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster.disconnect());

/** Now: retention deletes older records within a second. */
const timestamp = BigInt(Date.now());

const record = (text: string): NewRecord => ({
  timestamp,
  key: null,
  value: Buffer.from(text),
});

function batchOf(texts: readonly string[], producer: object = {}): Buffer {
  return encodeBatch(texts.map(record), { codec: "none", ...producer });
}

function fetchRequest(topic: string, changes: Partial<FetchRequest> = {}): FetchRequest {
  return {
    topic,
    partition: 0,
    fetchOffset: 0n,
    currentLeaderEpoch: -1,
    maxBytes: 1024 * 1024,
    maxWaitMs: 200,
    minBytes: 1,
    isolation: "read_committed",
    ...changes,
  };
}

const produceTo = (topic: string, batch: Buffer, partition = 0) =>
  cluster.produce({ topic, partition, batch, timeoutMs: 10_000 });

describe("topics", () => {
  test("are created with their settings and described with ids, leaders and epochs", async () => {
    const topic = await createTopic(cluster, {
      partitionCount: 3,
      config: { "retention.ms": "-1" },
    });
    const [described, ...others] = await cluster.describeTopics([topic, randomName("absent")]);
    expect(others).toEqual([]);
    expect(described).toMatchObject({ name: topic, internal: false });
    expect(described?.topicId).toMatch(/^[\w-]{22}$/);
    expect(described?.authorizedOperations).toContain("ALTER_CONFIGS");
    expect(described?.partitions).toEqual(
      [0, 1, 2].map((partition) => ({
        partition,
        leader: 1,
        leaderEpoch: 0,
        replicas: [1],
        inSyncReplicas: [1],
      })),
    );
    const settings = await settingsOf(cluster, topic);
    expect(settings.filter(({ ofTopic }) => ofTopic)).toEqual([
      { name: "retention.ms", value: "-1", ofTopic: true, readOnly: false },
    ]);
    expect(settings.find(({ name }) => name === "cleanup.policy")?.value).toBe("delete");
  });

  test("are all described when none is named", async () => {
    const topic = await createTopic(cluster);
    const names = (await cluster.describeTopics()).map(({ name }) => name);
    expect(names).toContain(topic);
  });

  test("change one setting and leave the others", async () => {
    const topic = await createTopic(cluster, {
      config: { "retention.ms": "5000000", "segment.ms": "7000000" },
    });
    await cluster.alterTopicSettings(topic, [
      { name: "retention.ms", delete: true },
      { name: "max.message.bytes", set: "123456" },
    ]);
    const settings = await settingsOf(cluster, topic);
    const own = settings.filter(({ ofTopic }) => ofTopic);
    expect(Object.fromEntries(own.map(({ name, value }) => [name, value]))).toEqual({
      "segment.ms": "7000000",
      "max.message.bytes": "123456",
    });
  });

  test("are checked without being created or altered", async () => {
    const topic = randomName("checked");
    const wanted = { topic, partitionCount: 1, replicationFactor: 1, config: {} };
    await cluster.validateNewTopic(wanted);
    expect(await cluster.describeTopics([topic])).toEqual([]);
    await expect(
      cluster.validateNewTopic({ ...wanted, replicationFactor: 3 }),
    ).rejects.toMatchObject({
      name: "InvalidRequestError",
      details: { kafka_error: "INVALID_REPLICATION_FACTOR" },
    });
    const existing = await createTopic(cluster);
    await cluster.validateTopicSettings(existing, [{ name: "retention.ms", set: "1" }]);
    const settings = await settingsOf(cluster, existing);
    expect(settings.filter(({ ofTopic }) => ofTopic)).toEqual([]);
    await expect(
      cluster.validateTopicSettings(existing, [{ name: "retention.ms", set: "x" }]),
    ).rejects.toMatchObject({ name: "InvalidRequestError" });
  });

  test("that exist, or bear a bad name, are invalid requests", async () => {
    const topic = await createTopic(cluster);
    const again = { topic, partitionCount: 1, replicationFactor: 1, config: {} };
    await expect(cluster.createTopics([again])).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining(`${topic}: TOPIC_ALREADY_EXISTS`),
    });
    await expect(cluster.createTopics([{ ...again, topic: "no spaces" }])).rejects.toMatchObject({
      name: "InvalidRequestError",
      details: { kafka_error: "INVALID_TOPIC_EXCEPTION", topic: "no spaces" },
    });
  });

  test("that do not exist are named", async () => {
    const topic = randomName("absent");
    const expected = {
      name: "TopicNotFoundError",
      message: expect.stringContaining(topic),
      details: { topic, kafka_error: "UNKNOWN_TOPIC_OR_PARTITION" },
    };
    await expect(cluster.fetch(fetchRequest(topic))).rejects.toMatchObject(expected);
    await expect(settingsOf(cluster, topic)).rejects.toMatchObject(expected);
    await expect(cluster.logEndOffset({ topic, partition: 0 })).rejects.toMatchObject(expected);
    await expect(produceTo(topic, batchOf(["a"]))).rejects.toMatchObject(expected);
    const known = await createTopic(cluster);
    await expect(cluster.fetch(fetchRequest(known, { partition: 1 }))).rejects.toMatchObject({
      name: "TopicNotFoundError",
      details: { topic: known, partition: 1 },
    });
  });
});

describe("offsets", () => {
  test("are listed from both ends and a time, and a failure stays in its result", async () => {
    const topic = await createTopic(cluster, { partitionCount: 2 });
    await produceTo(topic, batchOf(["a", "b", "c"]), 1);
    const asked = [0, 1].map((partition) => ({ topic, partition }));
    const offsets = async (at: Parameters<Cluster["listOffsets"]>[1]) =>
      (await cluster.listOffsets(asked, at)).map((one) => ("offset" in one ? one.offset : one));
    expect(await offsets("earliest")).toEqual([0n, 0n]);
    expect(await offsets("lastStable")).toEqual([0n, 3n]);
    expect(await offsets("highWatermark")).toEqual([0n, 3n]);
    expect(await offsets({ timestamp })).toEqual([-1n, 0n]);
    const absent = { topic: randomName("absent"), partition: 0 };
    const [found, failed] = await cluster.listOffsets([asked[1]!, absent], "highWatermark");
    expect(found).toEqual({ ...asked[1], offset: 3n, leaderEpoch: 0 });
    expect(failed).toMatchObject({ ...absent, error: { name: "TopicNotFoundError" } });
  });

  test("of the log's end are known by leader epoch", async () => {
    const topic = await createTopic(cluster);
    const at = { topic, partition: 0 };
    await produceTo(topic, batchOf(["a", "b"]));
    expect(await cluster.logEndOffset(at)).toEqual({ leaderEpoch: 0, endOffset: 2n });
    expect(await cluster.endOffsetOfEpoch(at, 0)).toEqual({ leaderEpoch: 0, endOffset: 2n });
    expect(await cluster.endOffsetOfEpoch(at, 7)).toEqual({ leaderEpoch: -1, endOffset: -1n });
  });
});

describe("fetch", () => {
  test("returns batches as produced, from the one that holds the offset", async () => {
    const topic = await createTopic(cluster);
    const batches = [batchOf(["a", "b"]), batchOf(["c", "d"])];
    for (const batch of batches) await produceTo(topic, batch);
    const all = await cluster.fetch(fetchRequest(topic, { currentLeaderEpoch: 0 }));
    expect(all).toMatchObject({ highWatermark: 4n, lastStableOffset: 4n, logStartOffset: 0n });
    // All but base offset and leader epoch, which the broker sets.
    expect(all.records.subarray(16, batches[0]!.length)).toEqual(batches[0]!.subarray(16));
    expect(all.records.length).toBe(batches[0]!.length + batches[1]!.length);
    const later = await cluster.fetch(fetchRequest(topic, { fetchOffset: 3n }));
    expect(readBatchHeader(later.records).baseOffset).toBe(2n);
  });

  test("at the end of the log waits and returns nothing", async () => {
    const topic = await createTopic(cluster);
    const answer = await cluster.fetch(fetchRequest(topic));
    expect(answer.records.length).toBe(0);
  });

  test("outside of the log is out of range, with the place", async () => {
    const topic = await createTopic(cluster);
    await expect(cluster.fetch(fetchRequest(topic, { fetchOffset: 17n }))).rejects.toMatchObject({
      name: "OffsetOutOfRangeError",
      message: `Fetch ${topic}-0 at offset 17: OFFSET_OUT_OF_RANGE`,
      details: { topic, partition: 0, offset: 17n, kafka_error: "OFFSET_OUT_OF_RANGE" },
    });
  });

  test("K3: under an epoch that the log has not reached finds the topic changed", async () => {
    const topic = await createTopic(cluster);
    const fetching = cluster.fetch(fetchRequest(topic, { currentLeaderEpoch: 3 }));
    await expect(fetching).rejects.toMatchObject({
      name: "TopicChangedError",
      details: { kafka_error: "UNKNOWN_LEADER_EPOCH" },
    });
  });

  test("K5: says when the broker throttles, and the next request waits that long", async () => {
    const clientId = randomName("slow");
    const alter = ["--alter", "--add-config", "consumer_byte_rate=100000"];
    const { code, stderr } = await kafka.tool("kafka.admin.ConfigCommand", [
      ...["--bootstrap-server", kafka.bootstrapServers, ...alter],
      ...["--entity-type", "clients", "--entity-name", clientId],
    ]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const topic = await createTopic(cluster);
    await produceTo(topic, batchOf(["x".repeat(900_000)]));
    const slow = await connectForTests({ client_id: clientId });
    // The sum over the quota's window (11 s by default) has to pass 100,000 bytes a second.
    let throttleTimeMs = 0;
    let startedAtMs = 0;
    for (let attempt = 0; attempt < 10 && throttleTimeMs === 0; attempt++) {
      startedAtMs = performance.now();
      ({ throttleTimeMs } = await slow.fetch(fetchRequest(topic)));
    }
    expect(throttleTimeMs).toBeGreaterThan(0);
    await slow.logEndOffset({ topic, partition: 0 });
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(throttleTimeMs);
    await slow.disconnect();
  });
});

describe("produce", () => {
  test("keeps five requests in flight in order under one producer id", async () => {
    const topic = await createTopic(cluster);
    const { producerId, producerEpoch } = await cluster.initProducerId();
    const answers = await Promise.all(
      [0, 1, 2, 3, 4].map((index) =>
        produceTo(
          topic,
          batchOf([`${index}a`, `${index}b`], {
            producerId,
            producerEpoch,
            baseSequence: index * 2,
          }),
        ),
      ),
    );
    expect(answers.map(({ error }) => error)).toEqual(Array(5).fill("NONE"));
    expect(answers.map(({ baseOffset }) => baseOffset)).toEqual([0n, 2n, 4n, 6n, 8n]);
  });

  test("returns the broker's refusal with its words", async () => {
    const topic = await createTopic(cluster, { config: { "max.message.bytes": "1000" } });
    expect(await produceTo(topic, batchOf(["x".repeat(2000)]))).toMatchObject({
      errorCode: 10,
      error: "MESSAGE_TOO_LARGE",
      baseOffset: -1n,
    });
    const compacted = await createTopic(cluster, { config: { "cleanup.policy": "compact" } });
    expect(await produceTo(compacted, batchOf(["a", "b"]))).toMatchObject({
      error: "INVALID_RECORD",
      errorMessage: expect.stringContaining("record 0: "),
    });
  });

  test("gets another producer id each time", async () => {
    const first = await cluster.initProducerId();
    const second = await cluster.initProducerId();
    expect(second.producerId).not.toBe(first.producerId);
    expect(first.producerEpoch).toBe(0);
  });
});

describe("the cluster", () => {
  test("knows its id and its brokers", async () => {
    expect(cluster.clusterId).toMatch(/^[\w-]{22}$/);
    expect(await cluster.brokerIds()).toEqual([1]);
  });

  test("without an authorizer has no ACLs", async () => {
    expect(await cluster.describeAcls()).toEqual([]);
  });

  test("F5: lists the committed offsets of all groups and the open transactions", async () => {
    const topic = await createTopic(cluster);
    const group = randomName("group");
    await produceTo(topic, batchOf(["a", "b", "c"]));
    const { code, stderr, stdout } = await kafka.runJava("test/support/java/OpenTransaction.java", [
      kafka.bootstrapServers,
      topic,
      group,
      String(timestamp),
    ]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const { groups, failed } = await cluster.committedOffsets();
    expect(failed).toEqual([]);
    expect(groups.find((one) => one.group === group)).toEqual({
      group,
      offsets: [{ topic, partition: 0, offset: 2n, leaderEpoch: -1, metadata: "note" }],
    });
    const [open, ...others] = await cluster.openTransactions({ topic, partition: 0 });
    expect(others).toEqual([]);
    expect(open).toMatchObject({ startOffset: 3n, lastTimestampMs: timestamp });
    expect(stdout.trim()).toBe(`${open?.producerId} ${open?.producerEpoch}`);
    const at = [{ topic, partition: 0 }];
    expect(await cluster.listOffsets(at, "lastStable")).toMatchObject([{ offset: 3n }]);
    expect(await cluster.listOffsets(at, "highWatermark")).toMatchObject([{ offset: 4n }]);
  });

  test("takes no request after it was disconnected", async () => {
    const other = await connectForTests();
    const topic = await createTopic(other);
    const waiting = other.fetch(fetchRequest(topic, { maxWaitMs: 30_000 }));
    const lost = expect(waiting).rejects.toMatchObject({ name: "BrokerUnavailableError" });
    await other.disconnect();
    await lost;
    await other.disconnect();
    await expect(
      other.produce({ topic, partition: 0, batch: batchOf(["late"]), timeoutMs: 1000 }),
    ).rejects.toMatchObject({ name: "BrokerUnavailableError" });
    expect(await cluster.logEndOffset({ topic, partition: 0 })).toMatchObject({ endOffset: 0n });
  });
});
