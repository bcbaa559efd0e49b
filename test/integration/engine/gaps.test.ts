/** Records that are deleted at the source before a run, or a part of it, has read them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import { describeBackup } from "#core/describe/describe.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { runValidation } from "#core/validate/run.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

interface Case {
  readonly title: string;
  /** Grows and shrinks a topic of one partition around the runs of its backup. */
  readonly runs: (engine: TestEngine, topic: string) => Promise<BackupResult[]>;
  /** The wrapper of the cluster that the backup reads from. */
  readonly racing?: (topic: string) => Cluster;
  readonly gaps: readonly { readonly run: number; readonly from: bigint; readonly to: bigint }[];
  readonly restorable: readonly (readonly [from: bigint, to: bigint])[];
  /** Numbers of the records that a restore brings back. */
  readonly records: readonly number[];
}

let cluster: Cluster;
let admin: KafkaAdmin;

const grow = (topic: string, from: number, count: number) =>
  appendNumbered(cluster, { topic, from, count });

const cases: readonly Case[] = [
  {
    title: "K1 deleted between two runs",
    runs: async (engine, topic) => {
      await grow(topic, 0, 20);
      const first = await engine.backup([topic]);
      await grow(topic, 20, 30);
      await admin.deleteRecordsBefore(topic, 0, 40);
      return [first, await engine.backup([topic]), await engine.backup([topic])];
    },
    gaps: [{ run: 1, from: 20n, to: 40n }],
    restorable: [
      [0n, 20n],
      [40n, 50n],
    ],
    records: [...numbers(0, 20), ...numbers(40, 50)],
  },
  {
    title: "K1 deleted into the middle of a batch between two runs",
    runs: async (engine, topic) => {
      await grow(topic, 0, 20);
      const first = await engine.backup([topic]);
      await grow(topic, 20, 20);
      await admin.deleteRecordsBefore(topic, 0, 33);
      return [first, await engine.backup([topic])];
    },
    gaps: [{ run: 1, from: 20n, to: 33n }],
    restorable: [
      [0n, 20n],
      [33n, 40n],
    ],
    records: [...numbers(0, 20), ...numbers(33, 40)],
  },
  {
    title: "K1 all deleted that came since the first run",
    runs: async (engine, topic) => {
      await grow(topic, 0, 20);
      const first = await engine.backup([topic]);
      await grow(topic, 20, 20);
      await admin.deleteRecordsBefore(topic, 0, 40);
      const second = await engine.backup([topic]);
      await grow(topic, 40, 10);
      return [first, second, await engine.backup([topic])];
    },
    gaps: [{ run: 1, from: 20n, to: 40n }],
    restorable: [
      [0n, 20n],
      [40n, 50n],
    ],
    records: [...numbers(0, 20), ...numbers(40, 50)],
  },
  {
    title: "K1 deleted between two fetches of a run",
    runs: async (engine, topic) => {
      await grow(topic, 0, 100);
      return [await engine.backup([topic])];
    },
    racing: (topic) => deletingBeforeFetch(topic, { 2: 50, 4: 85 }),
    gaps: [
      { run: 0, from: 20n, to: 50n },
      { run: 0, from: 60n, to: 85n },
    ],
    restorable: [
      [0n, 20n],
      [50n, 60n],
      [85n, 100n],
    ],
    records: [...numbers(0, 20), ...numbers(50, 60), ...numbers(85, 100)],
  },
  {
    title: "K1 deleted beyond the planned end while a run reads",
    runs: async (engine, topic) => {
      await grow(topic, 0, 40);
      const first = await engine.backup([topic]);
      return [first, await engine.backup([topic])];
    },
    racing: (topic) => deletingBeforeFetch(topic, { 1: 60 }, () => grow(topic, 40, 30)),
    gaps: [
      { run: 0, from: 10n, to: 40n },
      { run: 1, from: 40n, to: 60n },
    ],
    restorable: [
      [0n, 10n],
      [60n, 70n],
    ],
    records: [...numbers(0, 10), ...numbers(60, 70)],
  },
  {
    title: "F2 deleted into the middle of a batch before the first run",
    runs: async (engine, topic) => {
      await grow(topic, 0, 40);
      await admin.deleteRecordsBefore(topic, 0, 14);
      return [await engine.backup([topic])];
    },
    gaps: [],
    restorable: [[14n, 40n]],
    records: numbers(14, 40),
  },
];

/**
 * Fetches bring one batch each. Before the fetch with the given number (counted from 0) is sent,
 * the log loses all before an offset.
 */
function deletingBeforeFetch(
  topic: string,
  deletions: Readonly<Record<number, number>>,
  before: () => Promise<void> = async () => {},
): Cluster {
  let count = 0;
  return wrappedCluster(cluster, {
    fetch: async (request) => {
      const offset = deletions[count++];
      if (offset !== undefined) {
        await before();
        await admin.deleteRecordsBefore(topic, 0, offset);
      }
      return cluster.fetch({ ...request, maxBytes: 1 });
    },
  });
}

interface Played {
  readonly topic: string;
  readonly restored: string;
  readonly engine: TestEngine;
  readonly results: readonly BackupResult[];
}

const played: Played[] = [];
let seen: SeenRecord[];

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
  for (const { runs, racing } of cases) {
    const topic = await createTopic(cluster);
    const engine = testEngine(racing?.(topic) ?? cluster);
    const results = await runs(engine, topic);
    const restored = randomName("restored");
    const { backupId, storage } = engine;
    const restoring = testEngine(cluster, { backupId, storage });
    expect(await restoring.restore({ [topic]: restored })).toMatchObject({ status: "done" });
    played.push({ topic, restored, engine, results });
  }
  seen = await recordsOf(played.map(({ restored }) => restored));
});
afterAll(() => Promise.all([cluster.disconnect(), admin.disconnect()]));

describe.each(cases.map((one, i) => ({ ...one, i })))("records $title", (one) => {
  test("are reported by the run that missed them, and by no other", () => {
    const { topic, results } = played[one.i]!;
    for (const [run, result] of results.entries()) {
      const gaps = one.gaps.filter((gap) => gap.run === run);
      expect(result).toMatchObject({
        status: gaps.length > 0 ? "done_with_gaps" : "done",
        failed: [],
        gaps: gaps.map(({ from, to }) => ({
          topic,
          partition: 0,
          from_offset: from,
          to_offset: to,
          reason: "retention",
          run_id: result.run_id,
        })),
      });
    }
  });

  test("are shown as gaps of what the backup can restore", async () => {
    const { engine } = played[one.i]!;
    const request = { backup_id: engine.backupId, runs_max: 10 };
    const described = await describeBackup(engine, request, noDeadline);
    const { gaps, restorable } = described.topics[0]!.partitions[0]!.lineages[0]!;
    const ranges = (of: readonly { from_offset: bigint; to_offset: bigint }[]) =>
      of.map(({ from_offset, to_offset }) => [from_offset, to_offset]);
    expect(ranges(restorable)).toEqual(one.restorable);
    expect(ranges(gaps)).toEqual(one.gaps.map(({ from, to }) => [from, to]));
    expect(described.gap_count).toBe(gaps.length);
  });

  test("are absent from the restored topic, and all others are there", () => {
    const { restored } = played[one.i]!;
    const found = seen.filter(({ topic }) => topic === restored);
    expect(found.map(numberOf)).toEqual(one.records);
    expect(found.map(({ offset }) => Number(offset))).toEqual(numbers(0, one.records.length));
  });

  test("leave a backup that deep validation finds sound", async () => {
    const { engine } = played[one.i]!;
    const request = { backup_id: engine.backupId, level: "deep" } as const;
    const { findings } = await runValidation(engine, request, noDeadline);
    expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  });
});
