/** Damage of record batches at the source, on their way to the target, and in the backup. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupResult } from "#core/backup/contract.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { runRestore } from "#core/restore/run.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import { appendNumbered, numberOf, numbers } from "#test/support/append.ts";
import { batchOnDisk, flipByteOnDisk } from "#test/support/broker-files.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { contentsOf, recordsOf, type SeenRecord } from "#test/support/oracle.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { syntheticBackup, syntheticBatch } from "#test/support/synthetic-backup.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster.disconnect());

describe("F6 a bit that flipped in the broker's own file", () => {
  const places = [
    ["in a record", 1_000],
    ["in the attributes, where the codec stands", 22],
    ["in the count of records", 60],
    ["in the number of the format", 16],
  ] as const;
  interface Played {
    readonly topic: string;
    readonly healthy: string;
    readonly engine: TestEngine;
    /** Twice with the damage, and once mended. */
    readonly results: readonly BackupResult[];
    readonly restored: { readonly during: string; readonly after: string };
  }
  const played: Played[] = [];
  let seen: SeenRecord[];

  beforeAll(async () => {
    for (const [, offsetInBatch] of places) played.push(await play(offsetInBatch));
    const restored = played.flatMap(({ restored }) => [restored.during, restored.after]);
    seen = await recordsOf(restored);
  });

  /** The third of five batches is damaged, and later mended. */
  async function play(offsetInBatch: number): Promise<Played> {
    const [topic, healthy] = [await createTopic(cluster), await createTopic(cluster)];
    await appendNumbered(cluster, { topic, from: 0, count: 50, valueBytes: 500 });
    await appendNumbered(cluster, { topic: healthy, from: 0, count: 50 });
    const damaged = await batchOnDisk(topic, 20n);
    await flipByteOnDisk(damaged, offsetInBatch);
    const engine = testEngine(cluster);
    const run = () => engine.backup([topic, healthy]);
    const results = [await run(), await run()];
    const restored = { during: randomName("restored"), after: randomName("restored") };
    await engine.restore({ [topic]: restored.during });
    await flipByteOnDisk(damaged, offsetInBatch);
    results.push(await run());
    await engine.restore({ [topic]: restored.after });
    return { topic, healthy, engine, results, restored };
  }

  const numbersIn = (name: string) => seen.filter(({ topic }) => topic === name).map(numberOf);

  describe.each(places.map(([where], i) => ({ where, i })))("$where", ({ i }) => {
    test("fails its partition by topic, partition and offset, in each run that meets it", () => {
      const { topic, results } = played[i]!;
      for (const result of results.slice(0, 2)) {
        expect(result).toMatchObject({
          status: "done_with_gaps",
          failed: [
            {
              topic,
              partition: 0,
              error: "CorruptRecordBatchError",
              message: expect.stringContaining(`record batch of ${topic}-0 at offset 20: `),
            },
          ],
        });
      }
    });

    test("leaves what is before it, and the other topic, backed up", async () => {
      const { topic, healthy, engine, results, restored } = played[i]!;
      expect(results.map((result) => result.record_count)).toEqual([70, 0, 30]);
      const { manifest } = await engine.catalog.readManifest(engine.backupId, 1);
      const lineageOf = (name: string) =>
        manifest.topics.find((state) => state.name === name)!.partitions[0]!.lineages[0]!;
      expect(lineageOf(topic)).toMatchObject({ next_offset: 20n, last_planned_at: -1n });
      expect(lineageOf(healthy).next_offset).toBe(50n);
      expect(lineageOf(healthy).last_planned_at).toBeGreaterThan(0n);
      expect(numbersIn(restored.during)).toEqual(numbers(0, 20));
    });

    test("is read past once the file is mended", () => {
      const { results, restored } = played[i]!;
      expect(results[2]).toMatchObject({ status: "done", failed: [] });
      expect(numbersIn(restored.after)).toEqual(numbers(0, 50));
    });
  });
});

describe("R1 a batch whose body is damaged", () => {
  test("on its way to the broker is refused there, and sent again", async () => {
    const topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 50, valueBytes: 1_000 });
    let count = 0;
    const damaging = wrappedCluster(cluster, {
      produce: (request) => {
        if (++count !== 3) return cluster.produce(request);
        return cluster.produce({ ...request, batch: flipped(request.batch, 3_000) });
      },
    });
    const engine = testEngine(damaging);
    await engine.backup([topic]);
    const restored = randomName("restored");
    expect(await engine.restore({ [topic]: restored })).toMatchObject({ status: "done" });
    const contents = await contentsOf([topic, restored]);
    expect(contents.get(`${topic}/0`)).toMatch(/^50 records /);
    expect(contents.get(`${restored}/0`)).toBe(contents.get(`${topic}/0`));
  });

  test("before it came into the segment fails by name: its CRC is not made good", async () => {
    const backup = syntheticBackup();
    const batches = [0n, 5n, 10n].map((first) => {
      const records = Array.from({ length: 5 }, () => ({ value: "x".repeat(1_000) }));
      return syntheticBatch(first, records);
    });
    await backup.addRun({
      partitions: [{ segments: [[batches[0]!, flipped(batches[1]!, 3_000), batches[2]!]] }],
    });
    const topic = randomName("restored");
    const { storage, catalog, backupId } = backup;
    const clock = systemClock;
    const deps = { storage, catalog, cluster, clock, logger: silentLogger, newId: randomId };
    const options = {
      start_new: false,
      max_concurrent_partitions: 1,
      checkpoint_interval_ms: 5_000,
      bootstrap_servers: [],
    };
    const request = requestOf({ topic_mapping: { orders: topic } });
    await expect(runRestore(deps, request, options, noDeadline)).rejects.toMatchObject({
      name: "CorruptRecordBatchError",
      message: expect.stringContaining("record batch of orders-0 at offset 5: "),
    });
    const level = "deep" as const;
    const report = await runValidation(deps, { backup_id: backupId, level }, noDeadline);
    expect(report.findings.map(({ severity }) => severity)).toContain("error");
    expect(await cluster.logEndOffset({ topic, partition: 0 })).toMatchObject({ endOffset: 5n });
  });
});

function flipped(bytes: Buffer, position: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[position]! ^= 1;
  return copy;
}

describe("I1 a flipped bit is refused by a restore as by deep validation", () => {
  let engine: TestEngine;
  let topic: string;

  beforeAll(async () => {
    topic = await createTopic(cluster);
    engine = testEngine(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 30 });
    await engine.backup([topic]);
    await appendNumbered(cluster, { topic, from: 30, count: 30, codec: "lz4" });
    await engine.backup([topic]);
  });

  test.each([
    ["a segment", /\/segment-.*\.zst$/, "CorruptSegmentError"],
    ["an index", /\/segment-.*\.index$/, "CorruptSegmentError"],
    ["a run list", /\/runs\/[^/]+\/topics\/.*\.json$/, "CorruptManifestError"],
    ["a run document", /\/runs\/[^/]+\/run\.json$/, "CorruptManifestError"],
    ["the newest manifest", /\/manifests\/00000002\.json$/, "CorruptManifestError"],
  ])("in %s", async (_, pattern, name) => {
    const keys = (await collect(engine.storage.list(""))).map(({ key }) => key);
    const key = keys.findLast((candidate) => pattern.test(candidate))!;
    const storage = await copyWith(key, (bytes) => flipped(bytes, bytes.length >> 1));
    const damaged = testEngine(cluster, { storage, backupId: engine.backupId });
    const request = { backup_id: engine.backupId, level: "deep" } as const;
    const { findings } = await runValidation(damaged, request, noDeadline);
    expect(findings.filter(({ severity }) => severity === "error")).not.toEqual([]);
    await expect(damaged.restore({ [topic]: randomName("restored") })).rejects.toMatchObject({
      name,
    });
  });

  async function copyWith(
    changed: string,
    change: (bytes: Buffer) => Buffer,
  ): Promise<StorageBackend> {
    const copy = openMemory();
    for await (const { key } of engine.storage.list("")) {
      const bytes = await engine.storage.get(key);
      await copy.put(key, key === changed ? change(bytes) : bytes);
    }
    return copy;
  }
});
