/**
 * Restores whose process ends by SIGKILL at a named point, into a topic that is to be made and
 * into one that is there, with settings and records of its own. Each case has a copy of the
 * backup; all wait side by side for the dead process's lease.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { PartitionResult } from "#core/restore/documents.ts";
import type { OffsetRun } from "#core/restore/offset-map.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import type { KilledJob, KillPoint } from "#test/e2e/kill/killed-engine.ts";
import { type KilledProcess, nthChange, runCommand, runKilled } from "#test/e2e/kill/processes.ts";
import {
  expectCompleteMap,
  expectSameRecords,
  offsetMapOf,
} from "#test/e2e/kill/restored-partitions.ts";
import { append } from "#test/support/append.ts";
import { segmentSettings, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { ownSettings } from "#test/support/restore-on-kafka.ts";

// All cases at once, and with them 30 s of waiting for leases.
vi.setConfig({ hookTimeout: 600_000 });

interface KillCase extends KillPoint {
  readonly title: string;
  readonly concurrentPartitions: number;
  readonly checkpointIntervalMs: number;
  readonly next: "engine" | "command line";
}

function killed(title: string, at: string, changes: Partial<KillCase> = {}): KillCase {
  return { title, at, nth: 1, next: "engine", ...everywhere, ...changes };
}

const everywhere = { concurrentPartitions: 4, checkpointIntervalMs: 1 };
const fiveInFlight = "^sent produce \\(5 in flight\\)";
/** Nothing between two batches that would let answers come in first. */
const pipelined = { concurrentPartitions: 1, checkpointIntervalMs: 5_000 };

// The first topic is made by the restore, the second is there: `nth` counts on it.
const cases: readonly KillCase[] = [
  killed("before its intent", "^before create .*/intent.json"),
  killed("after its intent", "^after create .*/intent.json"),
  killed("after it made a topic", "^after createTopics"),
  killed("before the document of a topic that was there", "^before create .*/targets/", { nth: 2 }),
  killed("after the document of a topic that was there", "^after create .*/targets/", { nth: 2 }),
  killed("after altering what it made", "^after alterTopicSettings"),
  killed("after altering settings that were there", "^after alterTopicSettings", {
    nth: 2,
    next: "command line",
  }),
  killed("after it got a producer id", "^after initProducerId"),
  killed("after a start", "^after create .*/start.json"),
  killed("when its first batch is sent, not answered", "^sent produce"),
  killed("when five batches are in flight", fiveInFlight, pipelined),
  killed("when five batches are in flight, later", fiveInFlight, {
    ...pipelined,
    nth: 3,
  }),
  killed("when batches of all partitions are in flight", "^sent produce", { nth: 17 }),
  killed("after its first answer", "^answered produce", { next: "command line" }),
  killed("after its 20th answer", "^answered produce", { nth: 20 }),
  killed("before a part of the map", "^before create .*/map-", { nth: 2 }),
  killed("after a part of the map, before its checkpoint", "^after create .*/map-", { nth: 3 }),
  killed("after a checkpoint", "^after create .*/checkpoint-", { nth: 3 }),
  killed("before a partition's result", "^before create .*/result.json"),
  killed("after a partition's result", "^after create .*/result.json"),
  killed("before verification", "^after create .*/result.json", { nth: 3 }),
  killed("in verification", "^after fetch", { nth: 2 }),
  killed("before a partition counts as verified", "^before create .*/verified.json"),
  killed("after all is verified", "^after create .*/verified.json", { nth: 3 }),
  killed("before settings are put back", "^before alterTopicSettings", { nth: 4 }),
  killed("after settings were put back", "^after alterTopicSettings", { nth: 4 }),
  killed("before a topic counts as restored", "^before create .*/restored/"),
  killed("after a topic counts as restored", "^after create .*/restored/"),
  killed("before its report", "^before create .*/report.json"),
  killed("after its report", "^after create .*/report.json"),
];

/** `KILL_SEED=… vitest …` repeats a run. */
const seed = Number(process.env.KILL_SEED ?? Date.now() % 2 ** 31);
/** As many in each run: how many checkpoints and renewals there are is the clock's choice. */
const changes =
  "^((before|after) (create (?!.*/(lease/|map-|checkpoint-))|alter|init)|sent|answered)";
/** Thousandths of a whole restore's changes. */
const points = fc.uniqueArray(fc.noBias(fc.integer({ min: 0, max: 999 })), {
  minLength: 4,
  maxLength: 4,
});
const randomPoints = fc.sample(points, { seed, numRuns: 1 })[0]!;
const randomCases = randomPoints.map((point) => ({
  point,
  title: `after ${point} thousandths of its changes (KILL_SEED=${seed})`,
}));

interface Target {
  /** By source topic. */
  readonly mapping: Readonly<Record<string, string>>;
  readonly made: string;
  readonly there: string;
}

interface Outcome {
  readonly target: Target;
  readonly killed: KilledProcess;
  /** What the dead process left of the topic that was there before. */
  readonly left: {
    readonly settings: Record<string, string | null>;
    readonly isRecorded: boolean;
  };
  readonly next: { readonly status: string };
  readonly again: { readonly status: string };
  readonly settings: readonly [made: object, there: object];
  readonly partitions: readonly { readonly result: PartitionResult; readonly map: OffsetRun[] }[];
  readonly restoreCount: number;
}

const backupId = "kill";
const settingsMade = { "retention.ms": "-1", "segment.bytes": "1048576" };
const settingsThere = {
  "compression.type": "gzip",
  "message.timestamp.type": "LogAppendTime",
  "max.message.bytes": "2000",
  "retention.ms": String(10 * 24 * 3_600_000),
};
const recordsThere = 3;
const { bootstrapServers } = kafkaForTests();
const outcomes = new Map<string, Outcome>();
let folder: string;
let cluster: Cluster;
let topics: readonly [batches: string, transactions: string];
let records: Map<string, SeenRecord[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-kills-"));
  cluster = await connectForTests({}, { lanes: 16 });
  topics = [
    await createTopic(cluster, { prefix: "a", partitionCount: 2, config: settingsMade }),
    await createTopic(cluster, { prefix: "b" }),
  ];
  await produceTraffic([
    ["batches", topics[0]],
    ["transactions", topics[1]],
  ]);
  const settings = { ...segmentSettings, segment_max_bytes: 64 * 1024 };
  await engineIn("backup").backup(topics, settings);

  const whole = await runKilled(await jobIn("whole", await makeTarget(), everywhere));
  expect(whole, whole.stderr).toMatchObject({ code: 0 });
  const changeCount = whole.events.filter((event) => new RegExp(changes).test(event)).length;
  const random = randomCases.map(({ title, point }) =>
    killed(title, changes, { nth: nthChange(point, changeCount) }),
  );
  // A process per core, and what waits for a lease costs nothing.
  const starting = pLimit(2);
  await Promise.all(
    [...cases, ...random].map(async (killCase) => {
      outcomes.set(killCase.title, await runCase(killCase, starting));
    }),
  );
  const restored = [...outcomes.values()].flatMap(({ target }) => [target.made, target.there]);
  const seen = await recordsOf([...topics, ...restored]);
  records = Map.groupBy(seen, ({ topic, partition }) => `${topic}/${partition}`);
});

afterAll(async () => {
  await cluster.disconnect();
  await rm(folder, { recursive: true });
});

function engineIn(name: string): TestEngine {
  return testEngine(cluster, { storage: openFilesystem(join(folder, name)), backupId });
}

async function makeTarget(): Promise<Target> {
  const made = randomName("made");
  const there = await createTopic(cluster, { prefix: "there", config: settingsThere });
  const record = { timestamp: 0n, key: null, value: Buffer.from("there before") };
  const batch = encodeBatch(Array(recordsThere).fill(record), { codec: "none" });
  await append(cluster, { topic: there, partition: 0 }, batch);
  return { made, there, mapping: { [topics[0]]: made, [topics[1]]: there } };
}

const requestOf = ({ mapping }: Target): RestoreRequest => ({
  backup_id: backupId,
  window: {},
  topics: { include: [...topics], exclude: [] },
  topic_mapping: mapping,
  partition_mapping: {},
  create_topics: true,
  allow_non_empty: true,
});

/** In a copy of the storage. */
async function jobIn(
  name: string,
  target: Target,
  how: Pick<KillCase, "concurrentPartitions" | "checkpointIntervalMs">,
): Promise<KilledJob> {
  await cp(join(folder, "backup"), join(folder, name), { recursive: true });
  const options = {
    start_new: false,
    max_concurrent_partitions: how.concurrentPartitions,
    checkpoint_interval_ms: how.checkpointIntervalMs,
    bootstrap_servers: [bootstrapServers],
  };
  const storage = { backend: "filesystem", path: join(folder, name) } as const;
  return { bootstrapServers, storage, work: { restore: requestOf(target), options } };
}

async function runCase(killCase: KillCase, starting: ReturnType<typeof pLimit>): Promise<Outcome> {
  const { at, nth } = killCase;
  const name = randomName("case");
  const target = await makeTarget();
  const job = await jobIn(name, target, killCase);
  const killed = await starting(() => runKilled({ ...job, kill: { at, nth } }));
  const engine = engineIn(name);
  const left = await leftIn(engine, target);
  const resume = () => engine.restore({}, requestOf(target), { checkpoint_interval_ms: 20 });
  const next =
    killCase.next === "engine"
      ? await resume()
      : await runCommand("restore", configOf(job, target), ["--yes"]);
  const again = await resume();
  const restores = await restoresOf(engine.storage, backupId);
  const { restoreId } = restores[0]!;
  const recorded = { storage: engine.storage, backupId, restoreId };
  const partitions = await Promise.all(
    again.report.topics
      .flatMap((topic) => topic.partitions)
      .map(async (result) => ({ result, map: await offsetMapOf(recorded, result) })),
  );
  const settings = [
    await ownSettings(cluster, target.made),
    await ownSettings(cluster, target.there),
  ] as const;
  const restoreCount = restores.length;
  return { target, killed, left, next, again, settings, partitions, restoreCount };
}

async function leftIn(engine: TestEngine, { there }: Target): Promise<Outcome["left"]> {
  const [record] = await restoresOf(engine.storage, backupId);
  return {
    settings: await ownSettings(cluster, there),
    isRecorded: (await record?.target(there)) !== undefined,
  };
}

function configOf({ storage }: KilledJob, { mapping }: Target) {
  return {
    mode: "restore",
    backup_id: backupId,
    target: { bootstrap_servers: [bootstrapServers], topics: { include: topics } },
    storage,
    restore: { topic_mapping: mapping },
  };
}

describe.each([...cases.map(({ title }) => title), ...randomCases.map(({ title }) => title)])(
  "a restore killed %s",
  (title) => {
    const outcome = () => outcomes.get(title)!;
    const killCase = cases.find((candidate) => candidate.title === title);
    const sourceOf = ({ source_topic, source_partition }: PartitionResult) =>
      records.get(`${source_topic}/${source_partition}`)!;

    test("R1 is the same restore that the next run finishes, and the one after leaves alone", () => {
      const { killed, next, again, restoreCount } = outcome();
      expect(killed, killed.stderr).toMatchObject({ signal: "SIGKILL" });
      if (killCase !== undefined) expect(killed.lastEvent).toMatch(new RegExp(killCase.at));
      expect(next.status).toBe(title === "after its report" ? "already_done" : "done");
      expect(again.status).toBe("already_done");
      expect(restoreCount).toBe(1);
    });

    test("R1 F2 brings every record once, in order, behind what was there", () => {
      const { partitions, target } = outcome();
      expect(partitions.length).toBe(3);
      for (const { result } of partitions) {
        const before = result.target_topic === target.there ? recordsThere : 0;
        expect(result.start_offset).toBe(BigInt(before));
        const found = records.get(`${result.target_topic}/${result.target_partition}`)!;
        expectSameRecords(sourceOf(result), found.slice(before), result);
      }
    });

    test("R3 knows where every source offset went", () => {
      for (const { result, map } of outcome().partitions) {
        expectCompleteMap(map, sourceOf(result), result);
      }
    });

    test("R5 had recorded the settings before it changed them, and has put them back", () => {
      const { left, settings } = outcome();
      if (!isDeepStrictEqual(left.settings, settingsThere)) expect(left.isRecorded).toBe(true);
      expect(settings).toEqual([settingsMade, settingsThere]);
    });
  },
);

test("R5 some processes died with the settings changed", () => {
  const left = (title: string) => outcomes.get(title)!.left.settings;
  expect(left("after its intent")).toEqual(settingsThere);
  expect(left("before verification")).toMatchObject({ "compression.type": "producer" });
  expect(left("before settings are put back")).toMatchObject({ "compression.type": "producer" });
  expect(left("after settings were put back")).toEqual(settingsThere);
});

test("R3 the transactional topic has holes", () => {
  const offsets = records.get(`${topics[1]}/0`)!.map(({ offset }) => offset);
  expect(offsets.at(-1)! - offsets[0]! + 1n).toBeGreaterThan(BigInt(offsets.length));
});
