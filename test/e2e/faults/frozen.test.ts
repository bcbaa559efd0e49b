/**
 * Processes that are frozen in mid-work (SIGSTOP), as in a machine that stalls: another one takes
 * over and finishes, what the first one had sent arrives late, and then it wakes.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { runValidation } from "#core/validate/run.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { freePort } from "#local/processes.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { archivedPartitions } from "#test/support/archived-batches.ts";
import { createBucket, type TestBucket } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import {
  type CommandEnd,
  type CommandRun,
  endCommands,
  resultOf,
  startCommand,
  whenHeld,
} from "#test/support/command-runs.ts";
import { noDeadline, testEngine } from "#test/support/engine.ts";
import { type FaultProxy, startFaultProxy } from "#test/support/fault-proxy.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { recordsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { type StorageGate, startStorageGate } from "#test/support/storage-gate.ts";

// All cases at once, and with them 30 s of waiting for leases.
vi.setConfig({ hookTimeout: 600_000 });

/** 20 batches of 100 KB. */
const count = 200;
const records = { from: 0, count, perBatch: 10, valueBytes: 10_000 };
/** Five batches may be in flight; four have come before this. */
const heldAfterBytes = 450_000;
const dayMs = 24 * 60 * 60 * 1_000;
const failedExitCode = 1;
const conflictExitCode = 11;
const preflightRefusedExitCode = 14;

let kafka: LocalKafka;
let proxy: FaultProxy;
let cluster: Cluster;
let bucket: TestBucket;
let gate: StorageGate;

beforeAll(async () => {
  const port = await freePort();
  proxy = await startFaultProxy(port);
  kafka = await startKafka({
    heapMb: 512,
    port,
    settings: {
      "advertised.listeners": `PLAINTEXT://${proxy.address}`,
      // Kafka's default is 24 h, by the time of the records: here it is looked at often.
      "producer.id.expiration.check.interval.ms": "200",
    },
  });
  cluster = await connectForTests({ bootstrap_servers: [proxy.address] });
  bucket = await createBucket();
  gate = await startStorageGate(s3ForTests().endpoint);
});

afterAll(async () => {
  endCommands();
  await gate?.stop();
  await bucket?.storage.close();
  await cluster?.disconnect();
  await kafka?.stop();
  await proxy?.stop();
});

async function filledTopic(ageMs = 0): Promise<string> {
  const topic = await createTopic(cluster, { config: { "retention.ms": "-1" } });
  await appendNumbered(cluster, { topic, ...records, ageMs });
  return topic;
}

describe("a backup that is frozen", () => {
  interface Outcome {
    readonly backupId: string;
    readonly next: BackupResult;
    readonly frozen: CommandEnd;
    /** Keys and SHA-256 of the objects outside of `state/`, before it woke and after it ended. */
    readonly before: ReadonlyMap<string, string>;
    readonly after: ReadonlyMap<string, string>;
  }

  const points = [
    ["when it stores a segment", /\/topics\/.*\.zst$/],
    ["when it stores a checkpoint", /\/checkpoints\//],
    ["when it commits", /\/manifests\//],
  ] as const;
  const outcomes = new Map<string, Outcome>();
  let topic: string;
  let expected: unknown;

  beforeAll(async () => {
    topic = await filledTopic();
    const undisturbed = testEngine(cluster);
    await undisturbed.backup([topic]);
    expected = await archivedPartitions(undisturbed, undisturbed.backupId);
    await Promise.all(
      points.map(async ([title, at]) => {
        outcomes.set(title, await freezeAt(at));
      }),
    );
  });

  const backup = (backupId: string, endpoint?: string) =>
    startCommand("backup", {
      mode: "backup",
      backup_id: backupId,
      source: { bootstrap_servers: proxy.address, topics: { include: [topic] } },
      storage: bucket.location(endpoint),
      backup: { segment_max_bytes: 1024 * 1024 },
    });

  async function freezeAt(at: RegExp): Promise<Outcome> {
    const backupId = randomName("frozen");
    const held = gate.hold(new RegExp(`^PUT .*${backupId}.*${at.source}`));
    const run = backup(backupId, gate.endpoint);
    await whenHeld(run, held.first);
    run.freeze();
    const next = await resultOf<BackupResult>(backup(backupId));
    const before = await objectsOf(backupId);
    await held.open();
    run.wake();
    const frozen = await run.ended;
    return { backupId, next, frozen, before, after: await objectsOf(backupId) };
  }

  async function objectsOf(backupId: string): Promise<Map<string, string>> {
    const { storage } = bucket;
    const listed = await collect(storage.list(`${backupId}/`));
    const keys = listed.map(({ key }) => key.slice(backupId.length + 1));
    const lasting = keys.filter((key) => !key.startsWith("state/"));
    const hashed = lasting.map(async (key) => {
      const body = await storage.get(`${backupId}/${key}`);
      return [key, createHash("sha256").update(body).digest("hex")] as const;
    });
    return new Map(await Promise.all(hashed));
  }

  test.each(points)("C5 %s ends with the conflict by name, once another has committed", (title) => {
    const { next, frozen } = outcomes.get(title)!;
    expect(next).toMatchObject({ status: "done", generation: 1, failed: [], gaps: [] });
    expect(frozen, frozen.stderr).toMatchObject({ code: conflictExitCode });
    expect(frozen.stderr).toContain("BackupConflictError");
  });

  test.each(points)("C4 C5 %s changes nothing that a manifest names", async (title) => {
    const { backupId, before, after } = outcomes.get(title)!;
    for (const [key, sha256] of before) expect(after.get(key), key).toBe(sha256);
    // What it may leave is a segment of its own that nobody names.
    const added = [...after.keys()].filter((key) => !before.has(key));
    for (const key of added) expect(key).toMatch(/^topics\/.*\.(zst|index)$/);
    expect(await archivedPartitions(bucket, backupId)).toEqual(expected);
    const request = { backup_id: backupId, level: "deep" } as const;
    expect(await runValidation(bucket, request, noDeadline)).toMatchObject({ status: "sound" });
  });
});

describe("a restore that is frozen while it produces", () => {
  interface Outcome {
    readonly target: string;
    readonly next: Result;
    readonly frozen: CommandEnd;
    /** The same command, after all. */
    readonly again: CommandEnd;
  }

  interface Result {
    readonly status: string;
  }

  const ages = [0, 2, 30];
  const outcomes = new Map<number, Outcome>();
  let found: Map<string, number[]>;

  beforeAll(async () => {
    const works = await Promise.all(ages.map(preparedWork));
    // Each restore has one connection that sends so much, and nobody else is at work.
    const holds = works.map(() => proxy.holdAfter(heldAfterBytes));
    const runs = works.map(restore);
    await Promise.all(runs.map((run, i) => whenHeld(run, holds[i]!.held)));
    for (const run of runs) run.freeze();
    const next = await Promise.all(works.map((work) => resultOf<Result>(restore(work))));
    for (const hold of holds) hold.letGo();
    for (const run of runs) run.wake();
    const frozen = await Promise.all(runs.map(({ ended }) => ended));
    const again = await Promise.all(works.map((work) => restore(work).ended));
    for (const [i, { days, target }] of works.entries()) {
      outcomes.set(days, { target, next: next[i]!, frozen: frozen[i]!, again: again[i]! });
    }
    const seen = await recordsOf(
      works.map(({ target }) => target),
      { ...kafka, bootstrapServers: proxy.address },
    );
    const byTopic = Map.groupBy(seen, ({ topic }) => topic);
    found = new Map([...byTopic].map(([topic, all]) => [topic, all.map(numberOf)]));
  });

  interface Work {
    readonly days: number;
    readonly topic: string;
    readonly target: string;
    readonly backupId: string;
  }

  async function preparedWork(days: number): Promise<Work> {
    const topic = await filledTopic(days * dayMs);
    const backupId = randomName("zombie");
    await testEngine(cluster, { storage: bucket.storage, backupId }).backup([topic]);
    return { days, topic, target: randomName("target"), backupId };
  }

  function restore({ topic, target, backupId }: Work): CommandRun {
    return startCommand("restore", {
      mode: "restore",
      backup_id: backupId,
      target: { bootstrap_servers: proxy.address, topics: { include: [topic] } },
      storage: bucket.location(),
      restore: { topic_mapping: { [topic]: target } },
    });
  }

  test.each(ages)("R1 records of %i days: another one finishes it, and it ends by name", (days) => {
    const { next, frozen } = outcomes.get(days)!;
    expect(next).toMatchObject({ status: "done" });
    // Of its lost lease, or of the records that it finds behind its own, whichever it sees first.
    const [, name] = /^(\w+Error): /m.exec(frozen.stderr) ?? [];
    const code = { BackupConflictError: conflictExitCode, ForeignWriterError: failedExitCode }[
      name!
    ];
    expect(code, frozen.stderr).toBeDefined();
    expect(frozen, frozen.stderr).toMatchObject({ code });
  });

  test("R1 records of today: its late write is refused by the broker", () => {
    const { target, again } = outcomes.get(0)!;
    expect(found.get(target)).toEqual(numbers(0, count));
    expect(again).toMatchObject({ code: 0 });
    expect(JSON.parse(again.stdout)).toMatchObject({ status: "already_done" });
  });

  test.each([2, 30])("R1 R2 records of %i days: a late write is found where it got in", (days) => {
    const { target, again } = outcomes.get(days)!;
    const restored = found.get(target)!;
    // What was sent late can only stand behind all that was restored.
    expect(restored.slice(0, count)).toEqual(numbers(0, count));
    const code = restored.length > count ? preflightRefusedExitCode : 0;
    expect(again, again.stderr).toMatchObject({ code });
    if (code !== 0) expect(again.stderr).toContain(`TargetNotEmptyError: ${target}`);
  });
});
