/**
 * Three-phase restores whose process ends by SIGKILL at a named point of each phase, and the same
 * command after it. Each case has a copy of the backup, a target topic and groups of its own; all
 * wait side by side for the dead process's lease.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import type { ThreePhaseReport } from "#core/three-phase/documents.ts";
import type { KilledJob } from "#test/e2e/kill/killed-engine.ts";
import { type KilledProcess, runKilled } from "#test/e2e/kill/processes.ts";
import {
  requestOf,
  runPhases,
  threePhaseDeps,
  threePhaseOptions,
} from "#test/e2e/three-phase/three-phases.ts";
import { appendNumbered } from "#test/support/append.ts";
import { segmentSettings, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { contentsOf } from "#test/support/oracle.ts";

interface KillCase {
  readonly title: string;
  readonly at: string;
  readonly nth?: number;
  readonly options?: { readonly backupFirst?: true; readonly nothingToResume?: true };
}

const cases: readonly KillCase[] = [
  {
    title: "(1) between the backup that comes first and the intent",
    at: "^before create .*three-phase/.*intent\\.json",
    options: { backupFirst: true, nothingToResume: true },
  },
  { title: "(1) between the safety snapshot and its reference", at: "^after create snapshots/" },
  { title: "(2) while records are sent", at: "^answered produce", nth: 5 },
  { title: "(2) when all is restored and not recorded", at: "^before create .*restored\\.json$" },
  { title: "(3) between two groups", at: "^after commitOffsets" },
  { title: "(3) before the report", at: "^before create .*three-phase/[^/]+/report\\.json" },
];

interface EndedCase {
  readonly target: string;
  readonly killed: KilledProcess;
  readonly resumedFirst: string | undefined;
  readonly report: ThreePhaseReport;
  readonly snapshotGroups: readonly string[];
}

let cluster: Cluster;
let folder: string;
let source: string;
let backupId: string;
const groups = [1, 2, 3].map((number) => randomName(`group-${number}`));
const ended = new Map<string, EndedCase>();

beforeAll(async () => {
  cluster = await connectForTests();
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-three-phase-"));
  source = await createTopic(cluster, { partitionCount: 2, prefix: "orders" });
  for (const partition of [0, 1]) {
    const batch = { topic: source, partition, from: 0, perBatch: 5, valueBytes: 20_000 };
    await appendNumbered(cluster, { ...batch, count: 100 });
  }
  for (const [i, group] of groups.entries()) await commit(group, BigInt(10 + 30 * i));
  const storage = openFilesystem(join(folder, "backup"));
  const engine = testEngine(cluster, { storage });
  backupId = engine.backupId;
  await engine.backup([source]);
  await storage.close();
  await Promise.all(cases.map(async (one, i) => ended.set(one.title, await run(one, i))));
});
afterAll(async () => {
  await cluster.disconnect();
  await rm(folder, { recursive: true });
});

async function commit(group: string, offset: bigint): Promise<void> {
  const offsets = [0, 1].map((partition) => {
    return { topic: source, partition, offset, leaderEpoch: -1, metadata: `of ${group}` };
  });
  const results = await cluster.commitOffsets(group, offsets);
  expect(results.map(({ error }) => error)).toEqual([undefined, undefined]);
}

async function run({ at, nth = 1, options = {} }: KillCase, i: number): Promise<EndedCase> {
  const path = join(folder, `case-${i}`);
  await cp(join(folder, "backup"), path, { recursive: true });
  const target = randomName("restored");
  const request = requestOf(
    backupId,
    { [source]: target },
    { groups: { groups }, ...(options.backupFirst && { backup_first: backupFirst() }) },
  );
  const job: KilledJob = {
    bootstrapServers: kafkaForTests().bootstrapServers,
    storage: { backend: "filesystem", path },
    work: { threePhase: request, options: threePhaseOptions },
    kill: { at, nth },
  };
  const killed = await runKilled(job);
  const storage = openFilesystem(path);
  const deps = threePhaseDeps(storage, cluster, options.backupFirst && cluster);
  // Without an intent there is nothing to resume, and the command itself begins again.
  const resumedFirst = await runPhases(deps, request, { resume: true }).then(
    () => undefined,
    (error: Error) => error.name,
  );
  const { report } = await runPhases(deps, request);
  const snapshot = await readSnapshot(storage, report!.safety_snapshot_id);
  await storage.close();
  const snapshotGroups = Object.entries(snapshot.consumer_groups).map(
    ([group, { partitions }]) => `${group} ${Object.keys(partitions).includes(`${target}-0`)}`,
  );
  return { target, killed, resumedFirst, report: report!, snapshotGroups };
}

function backupFirst() {
  return {
    backup_id: backupId,
    topics: { include: [source], exclude: [] },
    segments: segmentSettings,
    max_concurrent_partitions: 2,
  };
}

describe.each(cases)("R7 killed $title", ({ title, options = {} }) => {
  const the = () => ended.get(title)!;

  test("the process ended there", () => {
    expect(the().killed.signal).toBe("SIGKILL");
  });

  test("--resume goes on where there is something to go on with", () => {
    const { resumedFirst } = the();
    expect(resumedFirst).toBe(options.nothingToResume ? "BackupNotFoundError" : undefined);
  });

  test("the groups stand where they stood, in terms of the restored records", async () => {
    const { target, report } = the();
    expect(report.outcome).toBe("reset");
    const { groups: found } = await cluster.committedOffsets(groups);
    for (const [i, group] of groups.entries()) {
      const offsets = found
        .find((one) => one.group === group)!
        .offsets.filter(({ topic }) => topic === target)
        .map(({ partition, offset, metadata }) => `${partition} ${offset} ${metadata}`);
      const offset = 10 + 30 * i;
      expect(offsets.sort()).toEqual([`0 ${offset} of ${group}`, `1 ${offset} of ${group}`]);
    }
  });

  test("the safety snapshot is of before the first reset", () => {
    expect([...the().snapshotGroups].sort()).toEqual(
      groups.map((group) => `${group} false`).sort(),
    );
  });
});

test("R7 killed anywhere, every record is restored once", async () => {
  const targets = cases.map(({ title }) => ended.get(title)!.target);
  const contents = await contentsOf([source, ...targets]);
  for (const target of targets) {
    for (const partition of [0, 1]) {
      const expected = contents.get(`${source}/${partition}`);
      expect(expected).toMatch(/^100 records/);
      expect(contents.get(`${target}/${partition}`)).toBe(expected);
    }
  }
});
