/**
 * R1 where Kafka's own duplicate check is of no help: a broker of its own forgets a producer by
 * the time of its records at once, and the records are of 2023.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster, ProduceRequest } from "#core/kafka/cluster.ts";
import type { PartitionResult } from "#core/restore/documents.ts";
import type { OffsetRun } from "#core/restore/offset-map.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import type { KilledJob } from "#test/e2e/kill/killed-engine.ts";
import { type KilledProcess, runKilled } from "#test/e2e/kill/processes.ts";
import {
  expectCompleteMap,
  expectSameRecords,
  offsetMapOf,
} from "#test/e2e/kill/restored-partitions.ts";
import { segmentSettings, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";

vi.setConfig({ hookTimeout: 600_000 });

const expiryCheckMs = 200;
const forgetful = {
  "producer.id.expiration.ms": "1",
  "producer.id.expiration.check.interval.ms": String(expiryCheckMs),
};

const alone = 1;
const cases = [
  { title: "when its first batch is sent", at: "^sent produce", nth: 1, partitions: 4 },
  { title: "when five are in flight", at: "^sent.*\\(5 in flight\\)", nth: 2, partitions: alone },
  { title: "when many are sent", at: "^sent produce", nth: 25, partitions: 4 },
  { title: "after its 15th answer", at: "^answered produce", nth: 15, partitions: 4 },
  { title: "before a checkpoint", at: "^before create .*/checkpoint-", nth: 2, partitions: 4 },
  { title: "before a result", at: "^before create .*/result.json", nth: 1, partitions: 4 },
] as const;

interface Outcome {
  readonly target: string;
  readonly killed: KilledProcess;
  readonly status: string;
  readonly partitions: readonly { readonly result: PartitionResult; readonly map: OffsetRun[] }[];
}

const backupId = "kill";
const outcomes = new Map<string, Outcome>();
let kafka: LocalKafka;
let cluster: Cluster;
let folder: string;
let topic: string;
let records: Map<string, SeenRecord[]>;

beforeAll(async () => {
  kafka = await startKafka({ settings: forgetful });
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-kills-"));
  cluster = await connectForTests(
    { bootstrap_servers: [kafka.bootstrapServers] },
    { lanes: 2 * cases.length },
  );
  topic = await createTopic(cluster, { partitionCount: 2, config: { "retention.ms": "-1" } });
  await produceTraffic([["batches", topic]], kafka);
  await engineIn("backup").backup([topic], segmentSettings);
  const starting = pLimit(2);
  await Promise.all(
    cases.map(async (killCase) => {
      outcomes.set(killCase.title, await runCase(killCase, starting));
    }),
  );
  const targets = [...outcomes.values()].map(({ target }) => target);
  records = await seenIn([topic, ...targets]);
});

afterAll(async () => {
  await cluster.disconnect();
  await kafka.stop();
  await rm(folder, { recursive: true });
});

async function seenIn(topics: readonly string[]): Promise<Map<string, SeenRecord[]>> {
  const seen = await recordsOf(topics, kafka);
  return Map.groupBy(seen, ({ topic, partition }) => `${topic}/${partition}`);
}

function engineIn(name: string, on: Cluster = cluster): TestEngine {
  return testEngine(on, { storage: openFilesystem(join(folder, name)), backupId });
}

/** The storage's name; each case has a copy. */
async function copyBackup(): Promise<string> {
  const name = randomName("case");
  await cp(join(folder, "backup"), join(folder, name), { recursive: true });
  return name;
}

function jobIn(name: string, target: string, concurrentPartitions: number): KilledJob {
  const { bootstrapServers } = kafka;
  const restore = {
    backup_id: backupId,
    window: {},
    topics: { include: [topic], exclude: [] },
    topic_mapping: { [topic]: target },
    partition_mapping: {},
    create_topics: true,
    allow_non_empty: false,
  };
  const options = {
    start_new: false,
    max_concurrent_partitions: concurrentPartitions,
    // Alone, nothing between two batches lets answers come in first.
    checkpoint_interval_ms: concurrentPartitions === alone ? 5_000 : 1,
    bootstrap_servers: [bootstrapServers],
  };
  const storage = { backend: "filesystem", path: join(folder, name) } as const;
  return { bootstrapServers, storage, work: { restore, options } };
}

async function runCase(
  { at, nth, partitions: concurrent }: (typeof cases)[number],
  starting: ReturnType<typeof pLimit>,
): Promise<Outcome> {
  const name = await copyBackup();
  const target = randomName("target");
  const job = jobIn(name, target, concurrent);
  const killed = await starting(() => runKilled({ ...job, kill: { at, nth } }));
  await starting(() => untilForgotten(target));
  const engine = engineIn(name);
  const { status, report } = await engine.restore({ [topic]: target });
  const [record] = await restoresOf(engine.storage, backupId);
  const recorded = { storage: engine.storage, backupId, restoreId: record!.restoreId };
  const partitions = await Promise.all(
    report.topics
      .flatMap((restored) => restored.partitions)
      .map(async (result) => ({ result, map: await offsetMapOf(recorded, result) })),
  );
  return { target, killed, status, partitions };
}

/** Waits until the broker knows of no producer to partition 0, as Kafka's own tool says. */
async function untilForgotten(target: string): Promise<void> {
  const producersOf = async () => {
    const { stdout, stderr, code } = await kafka.tool(
      "org.apache.kafka.tools.TransactionsCommand",
      [
        ...["--bootstrap-server", kafka.bootstrapServers],
        ...["describe-producers", "--topic", target, "--partition", "0"],
      ],
    );
    if (code !== 0) throw new Error(stderr);
    return stdout.trim().split("\n");
  };
  // A header and nothing below it.
  const forgotten = async () =>
    expect(await producersOf()).toEqual([expect.stringMatching(/^ProducerId/)]);
  await vi.waitFor(forgotten, { timeout: 60_000, interval: expiryCheckMs });
}

describe.each(cases.map(({ title }) => title))("a restore of old records killed %s", (title) => {
  const outcome = () => outcomes.get(title)!;
  const killCase = cases.find((candidate) => candidate.title === title)!;

  test("R1 is continued by a producer that the broker has forgotten", () => {
    const { killed, status } = outcome();
    expect(killed, killed.stderr).toMatchObject({ signal: "SIGKILL" });
    expect(killed.lastEvent).toMatch(new RegExp(killCase.at));
    expect(status).toBe("done");
  });

  test("R1 R3 brings every record once, and knows where", () => {
    expect(outcome().partitions.length).toBe(2);
    for (const { result, map } of outcome().partitions) {
      const source = records.get(`${topic}/${result.source_partition}`)!;
      const found = records.get(`${result.target_topic}/${result.target_partition}`)!;
      expectSameRecords(source, found, result);
      expectCompleteMap(map, source, result);
    }
  });
});

/**
 * A cluster on which a dead worker's request, a copy of the `nth` batch of partition 0, comes in
 * right before that batch itself, and long enough before it for the broker to forget it.
 */
function withLateWrite(nth: number): Cluster {
  let count = 0;
  return {
    ...cluster,
    async produce(request: ProduceRequest) {
      if (request.partition !== 0 || ++count !== nth) return cluster.produce(request);
      const late = await cluster.produce({ ...request, batch: Buffer.from(request.batch) });
      expect(late.error).toBe("NONE");
      await untilForgotten(request.topic);
      return cluster.produce(request);
    },
  };
}

test.each([
  ["its first batch", 1],
  ["a later one", 3],
])("R1 R2 a dead worker's late write, before %s, is detected and named", async (_, nth) => {
  const name = await copyBackup();
  const target = randomName("target");
  const result = await engineIn(name, withLateWrite(nth)).restore({ [topic]: target });
  expect(result.status).toBe("incomplete");
  expect(result.failed).toMatchObject([
    { topic: target, partition: 0, error: "ForeignWriterError" },
  ]);
  // The other partition is whole.
  const seen = await seenIn([topic, target]);
  expect(seen.get(`${target}/1`)!.length).toBe(seen.get(`${topic}/1`)!.length);
  // The next run finds as many records as it wants, and does not take them for the right ones.
  expect(await engineIn(name).restore({ [topic]: target })).toMatchObject({
    status: "incomplete",
    failed: [{ error: "VerificationFailedError" }],
  });
});
