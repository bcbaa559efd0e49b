import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster, FetchRequest } from "#core/kafka/cluster.ts";
import { retryBudgetMsDefault } from "#core/kafka/session.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { append } from "#test/support/append.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";

let kafka: LocalKafka;
let cluster: Cluster;

beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(() => kafka.stop());

beforeEach(async () => {
  const servers = [kafka.bootstrapServers];
  // A broker's start takes a few seconds, on a busy machine many.
  cluster = await connectForTests({ bootstrap_servers: servers }, { retryBudgetMs: 100_000 });
});
afterEach(() => cluster.disconnect());

const timestamp = BigInt(Date.now());
const produceTimeoutMs = 10_000;

function batchOf(count: number, bytes = 1): Buffer {
  const record = { timestamp, key: null, value: Buffer.alloc(bytes) };
  return encodeBatch(Array(count).fill(record), { codec: "none" });
}

const produceTo = (topic: string, batch: Buffer) =>
  cluster.produce({ topic, partition: 0, batch, timeoutMs: produceTimeoutMs });

function fetchRequest(topic: string, changes: Partial<FetchRequest> = {}): FetchRequest {
  return {
    topic,
    partition: 0,
    fetchOffset: 0n,
    currentLeaderEpoch: 0,
    maxBytes: 1024 * 1024,
    maxWaitMs: 100,
    minBytes: 1,
    isolation: "read_committed",
    ...changes,
  };
}

describe("a broker that dies", () => {
  test("fails all produce requests in flight at once, and takes new ones once back", async () => {
    const topic = await createTopic(cluster);
    await produceTo(topic, batchOf(1));
    // The broker is stopped first, so that none of the five can be answered.
    process.kill(kafka.pid(), "SIGSTOP");
    const inFlight = Array.from({ length: 5 }, () => produceTo(topic, batchOf(1, 100_000)));
    const settled = Promise.allSettled(inFlight);
    const killedAtMs = performance.now();
    await kafka.kill("SIGKILL");
    for (const result of await settled) {
      expect(result).toMatchObject({
        status: "rejected",
        reason: { name: "BrokerUnavailableError" },
      });
    }
    // Not after the time that the broker, or the request itself, was given.
    expect(performance.now() - killedAtMs).toBeLessThan(produceTimeoutMs);
    await kafka.restart();
    expect(await produceTo(topic, batchOf(1))).toMatchObject({ error: "NONE" });
  });

  test("K4: is waited for by requests that may be repeated, across its restart", async () => {
    const topic = await createTopic(cluster);
    await append(cluster, { topic, partition: 0 }, batchOf(3));
    await kafka.kill("SIGKILL");
    const answers = Promise.all([
      cluster.fetch(fetchRequest(topic, { currentLeaderEpoch: -1 })),
      cluster.logEndOffset({ topic, partition: 0 }),
      cluster.initProducerId(),
      cluster.committedOffsets(),
      cluster.listOffsets([{ topic, partition: 0 }], "highWatermark"),
    ]);
    const position = { topic, partition: 0, offset: 2n, leaderEpoch: -1, metadata: "m" };
    const groups = Promise.all([
      cluster.commitOffsets("committing", [position]),
      cluster.deleteOffsets("deleting", [position]),
      cluster.describeGroups(["described"]),
    ]);
    await kafka.restart();
    const [fetched, end, , , [listed]] = await answers;
    const place = { topic, partition: 0, error: undefined };
    expect(await groups).toMatchObject([[place], [place], [{ state: "Dead" }]]);
    expect((await cluster.committedOffsets(["committing"])).groups).toEqual([
      { group: "committing", offsets: [position] },
    ]);
    expect(fetched.highWatermark).toBe(3n);
    expect(end.endOffset).toBe(3n);
    expect(listed).toMatchObject({ offset: 3n });
  });
});

describe("a new leader epoch", () => {
  let topic: string;

  beforeAll(async () => {
    const other = await connectForTests({ bootstrap_servers: [kafka.bootstrapServers] });
    topic = await createTopic(other);
    await append(other, { topic, partition: 0 }, batchOf(3));
    await other.disconnect();
    await kafka.restart();
  });

  test("K4: is followed by a fetch under the old one while the log is intact", async () => {
    const [described] = await cluster.describeTopics([topic]);
    expect(described?.partitions[0]?.leaderEpoch).toBeGreaterThan(0);
    const first = await cluster.fetch(fetchRequest(topic));
    expect(first.highWatermark).toBe(3n);
    const next = await cluster.fetch(fetchRequest(topic, { fetchOffset: 3n }));
    expect(next.records.length).toBe(0);
  });

  test("K3: with a log that ends before the fetch offset is a changed topic", async () => {
    await expect(cluster.fetch(fetchRequest(topic, { fetchOffset: 4n }))).rejects.toMatchObject({
      name: "TopicChangedError",
      details: { topic, partition: 0, kafka_error: "FENCED_LEADER_EPOCH" },
    });
  });
});

test("a broker that stays away is given up after the budget, by its name", async () => {
  const servers = [kafka.bootstrapServers];
  const hasty = await connectForTests({ bootstrap_servers: servers }, { retryBudgetMs: 300 });
  const topic = await createTopic(hasty);
  await kafka.kill("SIGKILL");
  const startedAtMs = performance.now();
  const fetching = hasty.fetch(fetchRequest(topic));
  await expect(fetching).rejects.toMatchObject({
    name: "BrokerUnavailableError",
    message: expect.stringContaining(kafka.bootstrapServers),
  });
  expect(performance.now() - startedAtMs).toBeLessThan(retryBudgetMsDefault);
  await hasty.disconnect();
});
