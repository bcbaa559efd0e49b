/**
 * Backups whose process ends by SIGKILL at a named point. All cases read the same topics, each
 * into a storage of its own, and wait side by side for the dead process's lease.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { StoredManifest } from "#core/catalog/catalog.ts";
import { lineagesOf } from "#core/catalog/totals.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type PruneResult, pruneOrphans } from "#core/prune/prune.ts";
import { parseSegmentKey } from "#core/storage/keys.ts";
import type { StorageConfig } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import type { ValidationReport } from "#core/validate/finish.ts";
import { runValidation } from "#core/validate/run.ts";
import type { KilledJob, KillPoint } from "#test/e2e/kill/killed-engine.ts";
import { type KilledProcess, nthChange, runCommand, runKilled } from "#test/e2e/kill/processes.ts";
import { noDeadline, segmentSettings, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { contentsOf, produceTraffic } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";

// All cases at once, and with them 30 s of waiting for leases.
vi.setConfig({ hookTimeout: 600_000 });

interface KillCase extends KillPoint {
  readonly title: string;
  /** Whether the killed process has committed its run. */
  readonly commits: boolean;
  /** `nothing`: the first run of all; else one run is committed before. */
  readonly after: "nothing" | "a run";
  readonly storage: "folder" | "s3";
  readonly next: "engine" | "command line";
}

function killed(title: string, at: string, changes: Partial<KillCase> = {}): KillCase {
  const usual = { nth: 1, commits: false, after: "a run", storage: "folder", next: "engine" };
  return { title, at, ...(usual as Omit<KillCase, "title" | "at">), ...changes };
}

const first = { after: "nothing" } as const;
const committed = { commits: true } as const;

const cases: readonly KillCase[] = [
  killed("after taking the lease", "^after create .*/state/lease/"),
  killed("after the run is opened", "^after create .*/state/runs/[^/]+/run.json"),
  killed("before the plan", "^before put .*/plan.json"),
  killed("after the plan, in the first run", "^after put .*/plan.json", first),
  killed("in a segment", "^before write .*/topics/", { nth: 4 }),
  killed("after a write of a segment", "^after write .*/topics/", { nth: 5 }),
  killed("before a segment is there", "^before commit .*/topics/"),
  killed("after a segment, before its index", "^after commit .*/topics/", { nth: 2 }),
  killed("before an index, in the first run", "^before create .*index$", { nth: 3, ...first }),
  killed("after an index, before the checkpoint", "^after create .*index$"),
  killed("before a checkpoint", "^before create .*/checkpoints/", { nth: 4 }),
  killed("after a checkpoint", "^after create .*/checkpoints/", { nth: 3, next: "command line" }),
  killed("after renewing the lease to commit", "^after create .*/state/lease/", { nth: 2 }),
  killed("before the cluster document", "^before create .*/cluster.json"),
  killed("before a run list", "^before create [^/]+/runs/.*/topics/", { nth: 2 }),
  killed("after a run list", "^after create [^/]+/runs/.*/topics/"),
  killed("before the run document", "^before create [^/]+/runs/[^/]+/run.json"),
  killed("after the run document", "^after create [^/]+/runs/[^/]+/run.json"),
  killed("before the commit", "^before create .*/manifests/", { next: "command line" }),
  killed("before the first commit of all", "^before create .*/manifests/", first),
  killed("after the commit", "^after create .*/manifests/", committed),
  killed("after the first commit", "^after create .*/manifests/", { ...committed, ...first }),
  killed("before the copy of the manifest", "^before put .*/manifest.json", committed),
  killed("before the run's state goes", "^before delete .*/checkpoints/", committed),
  killed("after the checkpoints are gone", "^after delete .*/checkpoints/", committed),
  killed("before letting go of the lease", "^after delete [^ ]+/run.json$", committed),
  killed("after a segment in a bucket", "^after commit .*/topics/", {
    nth: 3,
    ...first,
    storage: "s3",
  }),
  killed("before the commit in a bucket", "^before create .*/manifests/", {
    ...first,
    storage: "s3",
  }),
];

/** `KILL_SEED=… vitest …` repeats a run. */
const seed = Number(process.env.KILL_SEED ?? Date.now() % 2 ** 31);
/** As many in each run: how often a lease is renewed is the clock's choice. */
const changes = "^(before|after) (create|write|commit|put|delete) (?!.*/lease/)";
/** Thousandths of a whole run's changes. */
const points = fc.uniqueArray(fc.noBias(fc.integer({ min: 0, max: 999 })), {
  minLength: 4,
  maxLength: 4,
});
const randomPoints = fc.sample(points, { seed, numRuns: 1 })[0]!;
const randomCases = randomPoints.map((point) => ({
  point,
  title: `after ${point} thousandths of its changes (KILL_SEED=${seed})`,
}));

interface Outcome {
  readonly killed: KilledProcess;
  /** What a reader sees before anybody cleans up. */
  readonly seen: { manifest: StoredManifest | undefined; report: ValidationReport | undefined };
  readonly next: { readonly status: string; readonly resumed: boolean };
  readonly manifest: StoredManifest;
  readonly report: ValidationReport;
  readonly orphans: PruneResult;
  readonly pruned: PruneResult;
  readonly afterPrune: ValidationReport;
  /** Restored topic by source topic. */
  readonly mapping: Readonly<Record<string, string>>;
}

const backupId = "kill";
const settings = { ...segmentSettings, segment_max_bytes: 64 * 1024 };
const { bootstrapServers } = kafkaForTests();
const outcomes = new Map<string, Outcome>();
let folder: string;
let bucket: string;
let cluster: Cluster;
let topics: string[];
let reference: StoredManifest;
let contents: Map<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-kills-"));
  cluster = await connectForTests({}, { lanes: 16 });
  bucket = await createBucket();
  topics = [
    await createTopic(cluster, { partitionCount: 2, config: { "retention.ms": "-1" } }),
    await createTopic(cluster),
  ];
  const traffic = [["batches", topics[0]!] as const, ["transactions", topics[1]!] as const];
  await produceTraffic(traffic);
  const base = await engineIn(folderLocation("a run"));
  await base.backup(topics, settings);
  await produceTraffic(traffic);

  const whole = await runKilled({ ...(await jobAfterARun("whole")) });
  expect(whole, whole.stderr).toMatchObject({ code: 0 });
  reference = (await (await engineIn(folderLocation("whole"))).catalog.latestManifest(backupId))!;
  const changeCount = whole.events.filter((event) => new RegExp(changes).test(event)).length;
  const random = randomCases.map(({ title, point }) =>
    killed(title, changes, { nth: nthChange(point, changeCount) }),
  );
  // A process per core, and what waits for a lease costs nothing.
  const starting = pLimit(2);
  const restoring = pLimit(4);
  await Promise.all(
    [...cases, ...random].map(async (killCase) => {
      outcomes.set(killCase.title, await runCase(killCase, starting, restoring));
    }),
  );
  const restored = [...outcomes.values()].flatMap(({ mapping }) => Object.values(mapping));
  contents = await contentsOf([...topics, ...restored]);
});

afterAll(async () => {
  await cluster.disconnect();
  await rm(folder, { recursive: true });
});

const folderLocation = (name: string): StorageConfig => ({
  backend: "filesystem",
  path: join(folder, name),
});

async function createBucket(): Promise<string> {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const name = randomName("kills");
  await client.send(new CreateBucketCommand({ Bucket: name }));
  client.destroy();
  return name;
}

function bucketLocation(prefix: string): StorageConfig {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
  const credentials = { access_key_id: accessKeyId, secret_access_key: secretAccessKey };
  return { backend: "s3", bucket, prefix, endpoint, region, ...credentials };
}

async function engineIn(location: StorageConfig): Promise<TestEngine> {
  const storage = await openStorage(location, { clock: systemClock });
  return testEngine(cluster, { storage, backupId });
}

function jobIn(storage: StorageConfig): KilledJob {
  const backup = {
    backup_id: backupId,
    topics: { include: topics, exclude: [] },
    segments: settings,
    max_concurrent_partitions: 4,
  };
  return { bootstrapServers, storage, work: { backup } };
}

/** In a copy of the storage that holds one committed run. */
async function jobAfterARun(name: string): Promise<KilledJob> {
  await cp(join(folder, "a run"), join(folder, name), { recursive: true });
  return jobIn(folderLocation(name));
}

type Limit = ReturnType<typeof pLimit>;

async function runCase(killCase: KillCase, starting: Limit, restoring: Limit): Promise<Outcome> {
  const { at, nth } = killCase;
  const name = randomName("case");
  const job =
    killCase.after === "a run"
      ? await jobAfterARun(name)
      : jobIn(killCase.storage === "s3" ? bucketLocation(name) : folderLocation(name));
  const killed = await starting(() => runKilled({ ...job, kill: { at, nth } }));
  const engine = await engineIn(job.storage);
  const seenManifest = await engine.catalog.latestManifest(backupId);
  const seenReport = seenManifest === undefined ? undefined : await validate(engine, "shallow");
  const next =
    killCase.next === "engine"
      ? await engine.backup(topics, settings)
      : await runCommand("backup", configOf(job.storage));
  return restoring(async () => {
    const manifest = (await engine.catalog.latestManifest(backupId))!;
    const report = await validate(engine, "deep");
    const orphans = await prune(engine, false);
    const pruned = await prune(engine, true);
    const afterPrune = await validate(engine, "deep");
    const mapping = Object.fromEntries(topics.map((topic) => [topic, randomName("restored")]));
    const { failed } = await engine.restore(mapping);
    expect(failed).toEqual([]);
    const seen = { manifest: seenManifest, report: seenReport };
    return { killed, seen, next, manifest, report, orphans, pruned, afterPrune, mapping };
  });
}

function configOf(storage: StorageConfig) {
  return {
    mode: "backup",
    backup_id: backupId,
    source: { bootstrap_servers: [bootstrapServers], topics: { include: topics } },
    storage,
    backup: { segment_max_bytes: settings.segment_max_bytes },
  };
}

function validate(engine: TestEngine, level: ValidationLevel): Promise<ValidationReport> {
  return runValidation({ ...engine }, { backup_id: backupId, level }, noDeadline);
}

function prune(engine: TestEngine, execute: boolean): Promise<PruneResult> {
  const deps = { storage: engine.storage, catalog: engine.catalog, clock: systemClock };
  return pruneOrphans(deps, { backup_id: backupId, execute, grace_ms: 0 }, noDeadline);
}

/** Offsets and what was archived of them; how it was cut into segments may differ. */
function archivedIn({ manifest }: StoredManifest) {
  return lineagesOf(manifest).map(({ topic, partition, state }) => {
    const { lineage, start_offset, next_offset, gaps, dropped, totals } = state;
    const { record_count, batch_count, batch_bytes } = totals;
    const counted = { record_count, batch_count, batch_bytes };
    return { topic, partition, lineage, start_offset, next_offset, gaps, dropped, ...counted };
  });
}

/** Segments that no manifest names, by partition. */
function orphanedSegments({ orphans }: PruneResult): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key, kind } of orphans) {
    if (kind !== "segment") continue;
    const name = parseSegmentKey(key.slice(backupId.length + 1))!;
    const at = `${name.topic}/${name.partition}`;
    counts.set(at, (counts.get(at) ?? 0) + 1);
  }
  return counts;
}

const generationOf = (stored: StoredManifest | undefined) => stored?.manifest.generation ?? 0;

describe.each([...cases.map(({ title }) => title), ...randomCases.map(({ title }) => title)])(
  "a backup killed %s",
  (title) => {
    const outcome = () => outcomes.get(title)!;
    const killCase = cases.find((candidate) => candidate.title === title);

    test("C1 leaves a complete backup for readers, or none", () => {
      const { killed, seen } = outcome();
      expect(killed, killed.stderr).toMatchObject({ signal: "SIGKILL" });
      if (killCase !== undefined) {
        expect(killed.lastEvent).toMatch(new RegExp(killCase.at));
        const before = killCase.after === "nothing" ? 0 : 1;
        expect(generationOf(seen.manifest)).toBe(killCase.commits ? before + 1 : before);
      }
      if (seen.manifest !== undefined) expect(seen.report).toMatchObject({ status: "sound" });
    });

    test("C1 C3 is completed by the next run, each offset archived once", () => {
      const { seen, next, manifest, report } = outcome();
      expect(next.status).toBe("done");
      expect(generationOf(manifest)).toBe(generationOf(seen.manifest) + 1);
      expect(archivedIn(manifest)).toEqual(archivedIn(reference));
      expect(report.findings.filter(({ severity }) => severity === "error")).toEqual([]);
      expect(report.status).toBe("sound");
    });

    test("C3 repeats at most one segment of a partition, and prune lists and removes it", () => {
      const { orphans, pruned, afterPrune } = outcome();
      for (const count of orphanedSegments(orphans).values()) expect(count).toBe(1);
      expect(pruned.orphans.map(({ key }) => key)).toEqual(orphans.orphans.map(({ key }) => key));
      expect(afterPrune).toMatchObject({ status: "sound", orphans: { objects: 0 } });
    });

    test("F2 comes back as Kafka's own consumer sees the source", () => {
      for (const [topic, restored] of Object.entries(outcome().mapping)) {
        const partitions = [...contents.keys()].filter((key) => key.startsWith(`${topic}/`));
        expect(partitions.length).toBeGreaterThan(0);
        for (const key of partitions) {
          expect(contents.get(key)).toMatch(/^[1-9]\d* records /);
          expect(contents.get(`${restored}/${key.split("/")[1]}`)).toBe(contents.get(key));
        }
      }
    });
  },
);

test("C3 a segment that was stored and not checkpointed is what is repeated", () => {
  const { orphans } = outcomes.get("after an index, before the checkpoint")!;
  const kinds = orphans.orphans.map(({ kind }) => kind);
  expect(kinds).toContain("segment");
  expect(kinds).toContain("index");
});

test("C3 a run that was killed after its first checkpoints is continued, not begun anew", () => {
  for (const title of ["after a checkpoint", "before the commit", "before a run list"]) {
    expect(outcomes.get(title)!.next.resumed, title).toBe(true);
  }
  expect(outcomes.get("after the commit")!.next.resumed).toBe(false);
});
