/** Restores that add headers, whose process ends by SIGKILL: the next run sends the same records. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { PartitionResult } from "#core/restore/documents.ts";
import type { OffsetRun } from "#core/restore/offset-map.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { type KilledProcess, runKilled } from "#test/e2e/kill/processes.ts";
import {
  expectCompleteMap,
  expectSameRecords,
  offsetMapOf,
} from "#test/e2e/kill/restored-partitions.ts";
import { appendNumbered } from "#test/support/append.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { withOffsetHeaders } from "#test/support/offset-headers.ts";
import { recordsOf, type SeenRecord } from "#test/support/oracle.ts";

vi.setConfig({ hookTimeout: 600_000 });

const cases = [
  { title: "when its first batch is sent", at: "^sent produce", nth: 1, checkpointMs: 5_000 },
  // Encoding takes about as long as the broker's answer: five at a time are not always there.
  { title: "when several are in flight", at: "^sent.*3 in flight", nth: 1, checkpointMs: 5_000 },
  { title: "after its fourth answer", at: "^answered produce", nth: 4, checkpointMs: 1 },
  { title: "before a checkpoint", at: "^before create .*/checkpoint-", nth: 2, checkpointMs: 1 },
  { title: "in verification", at: "^after fetch", nth: 3, checkpointMs: 5_000 },
] as const;

interface Outcome {
  readonly target: string;
  readonly killed: KilledProcess;
  readonly status: string;
  readonly result: PartitionResult;
  readonly map: readonly OffsetRun[];
}

const backupId = "kill";
const { bootstrapServers } = kafkaForTests();
const outcomes = new Map<string, Outcome>();
let cluster: Cluster;
let folder: string;
let topic: string;
let records: Map<string, SeenRecord[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-kills-"));
  cluster = await connectForTests();
  topic = await createTopic(cluster);
  // Some ten batches of a megabyte, with the headers: of two codecs, from batches of 40 KB.
  const numbered = { topic, count: 1_500, perBatch: 20, valueBytes: 2_000 };
  await appendNumbered(cluster, { ...numbered, from: 0 });
  await appendNumbered(cluster, { ...numbered, from: 1_500, codec: "lz4" });
  await appendNumbered(cluster, { ...numbered, from: 3_000 });
  await engineIn("backup").backup([topic]);
  const starting = pLimit(2);
  await Promise.all(
    cases.map(async (killCase) => {
      outcomes.set(killCase.title, await runCase(killCase, starting));
    }),
  );
  const targets = [...outcomes.values()].map(({ target }) => target);
  records = Map.groupBy(await recordsOf([topic, ...targets]), (record) => record.topic);
});

afterAll(async () => {
  await cluster.disconnect();
  await rm(folder, { recursive: true });
});

function engineIn(name: string): TestEngine {
  return testEngine(cluster, { storage: openFilesystem(join(folder, name)), backupId });
}

async function runCase(
  { at, nth, checkpointMs }: (typeof cases)[number],
  starting: ReturnType<typeof pLimit>,
): Promise<Outcome> {
  const name = randomName("case");
  const target = randomName("target");
  await cp(join(folder, "backup"), join(folder, name), { recursive: true });
  const restore: RestoreRequest = {
    backup_id: backupId,
    window: {},
    topics: { include: [topic], exclude: [] },
    topic_mapping: { [topic]: target },
    partition_mapping: {},
    create_topics: true,
    allow_non_empty: false,
    include_offset_headers: true,
  };
  const options = {
    start_new: false,
    max_concurrent_partitions: 1,
    checkpoint_interval_ms: checkpointMs,
    bootstrap_servers: [bootstrapServers],
  };
  const storage = { backend: "filesystem", path: join(folder, name) } as const;
  const job = { bootstrapServers, storage, work: { restore, options }, kill: { at, nth } };
  const killed = await starting(() => runKilled(job));
  const engine = engineIn(name);
  const { status, report } = await engine.restore({}, restore);
  const [record] = await restoresOf(engine.storage, backupId);
  const result = report.topics[0]!.partitions[0]!;
  const recorded = { storage: engine.storage, backupId, restoreId: record!.restoreId };
  return { target, killed, status, result, map: await offsetMapOf(recorded, result) };
}

describe.each(cases.map(({ title, at }) => ({ title, at })))(
  "a restore with headers killed $title",
  ({ title, at }) => {
    test("R1 F2 brings every record once, in order, each with the headers of its own offset", () => {
      const { killed, status, target, result } = outcomes.get(title)!;
      expect(killed, killed.stderr).toMatchObject({ signal: "SIGKILL" });
      expect(killed.lastEvent).toMatch(new RegExp(at));
      expect(status).toBe("done");
      expect(result.sent).toMatchObject({ raw: 0 });
      const expected = records.get(topic)!.map(withOffsetHeaders);
      expectSameRecords(expected, records.get(target)!, result);
    });

    test("R3 knows where every source offset went", () => {
      const { map, result } = outcomes.get(title)!;
      expectCompleteMap(map, records.get(topic)!, result);
    });
  },
);
