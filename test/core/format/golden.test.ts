/**
 * I3: a whole backup that format version 1 wrote of a real cluster is read for ever. What it holds
 * is explained beside it; the records it must give were recorded by Kafka's own consumer.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { backupPlan } from "#core/backup/contract.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { sha256Of } from "#core/catalog/documents.ts";
import type { LineageState, Manifest, SegmentEntry } from "#core/catalog/manifest.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import { describeBackup } from "#core/describe/describe.ts";
import { batchBodyBytesMax, bodyOf } from "#core/kafka/batch-compression.ts";
import { decodeRecords, type KafkaRecord } from "#core/kafka/records.ts";
import { type PartitionResult, restoreCheckpoint } from "#core/restore/documents.ts";
import { decodeOffsetRuns, mergeOffsetRuns, translateOffset } from "#core/restore/offset-map.ts";
import { type RestoreRecord, restoresOf } from "#core/restore/restore-record.ts";
import { validOffsets } from "#core/restore/source-range.ts";
import { deadlineAt } from "#core/runtime.ts";
import { forEachBatch, readFrames, readIndex } from "#core/segment/reader.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { indexKeyOf } from "#core/storage/keys.ts";
import { systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import { documentsOf, readerOf } from "#test/core/format/golden-documents.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import {
  type ExpectedBackup,
  type ExpectedRecord,
  expectedBytes,
  goldenObjects,
  goldenRecords,
  lifeOf,
  type Objects,
  storageOf,
} from "#test/support/golden-backup.ts";

const backupId = "golden";
const backupIds = ["golden", "golden-gz", "golden-log", "golden-lz4", "golden-sz"];
const noDeadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);

let objects: Objects;
let expected: ExpectedBackup;
let storage: StorageBackend;
let catalog: Catalog;

beforeAll(async () => {
  objects = await goldenObjects();
  expected = await goldenRecords();
  storage = await storageOf(objects);
  catalog = catalogOn(storage);
});

async function manifestOf(id: string): Promise<Manifest> {
  return (await catalog.latestManifest(id))!.manifest;
}

async function recordsOf(id: string, segment: SegmentEntry, at: { topic: string }) {
  const partition = { topic: at.topic, partition: 0 };
  const index = await readIndex(storage, `${id}/${indexKeyOf(segment.key)}`, segment);
  const records: KafkaRecord[] = [];
  for await (const { batches } of readFrames(storage, `${id}/${segment.key}`, index, () => true)) {
    forEachBatch(batches, (header, position) => {
      const body = bodyOf(header, batches, position, partition, batchBodyBytesMax);
      records.push(...decodeRecords(header, body, partition));
    });
  }
  return records;
}

function asExpected({ offset, timestamp, key, value, headers }: KafkaRecord): ExpectedRecord {
  return {
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: expectedBytes(key),
    value: expectedBytes(value),
    headers: headers.map((header) => [expectedBytes(header.key), expectedBytes(header.value)]),
  };
}

/** Every record of a lineage that a consumer could have read: without gaps and deleted starts. */
async function recordsOfLineage(
  id: string,
  at: { topic: string; partition: number },
  state: LineageState,
): Promise<ExpectedRecord[]> {
  const valid = validOffsets(state, 0n);
  const selection = { ...at, lineage: state.lineage };
  const records: ExpectedRecord[] = [];
  for await (const { segment } of segmentsOf(catalog, await manifestOf(id), selection)) {
    for (const record of await recordsOf(id, segment, at)) {
      if (valid.has(record.offset)) records.push(asExpected(record));
    }
  }
  return records;
}

test("I3: version 1: all backups of the folder are found", async () => {
  expect(await collect(catalog.listBackups())).toEqual(backupIds);
});

describe.each(backupIds)("I3: version 1: the backup %s", (id) => {
  test("is sound, to the last byte", async () => {
    const report = await runValidation(
      { storage, catalog },
      { backup_id: id, level: "deep" },
      noDeadline,
    );
    const findings = report.findings.map(({ severity, code, topic }) => [severity, code, topic]);
    expect(findings).toEqual(id === backupId ? [["info", "offsets_gap", "trimmed"]] : []);
    expect(report).toMatchObject({ status: "sound", orphans: { objects: 0 } });
    expect(report.checked).toMatchObject(
      id === backupId
        ? { manifests: 2, runs: 2, segments: 15, batches: 45, records: 245 }
        : { manifests: 1, runs: 1, segments: 3, batches: 11, records: 112 },
    );
  });

  test("gives every record as Kafka's own consumer saw it, and no other", async () => {
    let partitions = 0;
    for (const { name: topic, partitions: states } of (await manifestOf(id)).topics) {
      for (const { partition, lineages } of states) {
        for (const state of lineages) {
          const at = { topic, partition };
          const seen = lifeOf(expected.records, { ...at, topic_id: state.topic_id });
          expect(await recordsOfLineage(id, at, state), `${topic}-${partition}`).toEqual(seen);
          partitions += 1;
        }
      }
    }
    expect(partitions).toBe(id === backupId ? expected.records.length : 3);
  });
});

test("I3: version 1: a description tells totals, ranges, gaps and lineages", async () => {
  const described = await describeBackup(
    { catalog },
    { backup_id: backupId, runs_max: 9 },
    noDeadline,
  );
  expect(described).toMatchObject({
    generation: 2,
    created_by: "kafka-backup 0.1.0",
    run_count: 2,
    gap_count: 1,
    totals: { segment_count: 15, batch_count: 45, record_count: 245 },
    dropped: { aborted: 6, control: 7, empty: 1 },
  });
  const rows = described.topics.flatMap(({ name, partitions }) =>
    partitions.flatMap(({ partition, lineages }) =>
      lineages.map(({ lineage, restorable, totals }) => {
        const ranges = restorable.map(({ from_offset, to_offset }) => [from_offset, to_offset]);
        return [`${name}-${partition}/${lineage}`, ranges, totals.record_count];
      }),
    ),
  );
  expect(rows).toEqual([
    ["append-time-0/1", [[0n, 20n]], 20],
    ["codecs-0/1", [[0n, 20n]], 20],
    ["codecs-1/1", [[0n, 80n]], 80],
    ["compacted-0/1", [[0n, 46n]], 26],
    ["frames-0/1", [[0n, 13n]], 13],
    ["odd-0/1", [[0n, 12n]], 12],
    ["recreated-0/1", [[0n, 5n]], 5],
    ["recreated-0/2", [[0n, 4n]], 4],
    ["recreated-1/1", [[0n, 3n]], 3],
    ["transactions-0/1", [[0n, 31n]], 12],
    [
      "trimmed-0/1",
      [
        [4n, 30n],
        [44n, 60n],
      ],
      50,
    ],
  ]);
});

test("I3: version 1: each run tells what its consumer groups had committed", async () => {
  const groups = [];
  for await (const { run } of catalog.runsOf(await manifestOf(backupId))) {
    const { cluster } = await catalog.readRunDocument(backupId, run);
    groups.push((await catalog.readClusterDocument(backupId, cluster)).consumer_groups);
  }
  const transactions = { offset: 9n, metadata: "" };
  const noted = { metadata: "a note", leader_epoch: 0 };
  const committed = (first: bigint, second: bigint) => ({
    billing: {
      partitions: {
        "codecs-0": { offset: first, metadata: "" },
        "codecs-1": { offset: second, ...noted },
        "transactions-0": transactions,
      },
    },
  });
  expect(groups).toEqual([committed(7n, 12n), committed(15n, 60n)]);
});

describe("I3: version 1: a restore", () => {
  async function finishedRestore(): Promise<RestoreRecord> {
    return (await restoresOf(storage, backupId))[0]!;
  }

  async function mapOf(
    { restoreId }: RestoreRecord,
    { target_topic, target_partition }: PartitionResult,
  ) {
    const folder = `${backupId}/restores/${restoreId}/partitions/${target_topic}/${target_partition}/`;
    const parts = [];
    for (const key of [...objects.keys()].sort()) {
      if (!key.startsWith(`${folder}checkpoint-`)) continue;
      const { map } = restoreCheckpoint.parse(JSON.parse(objects.get(key)!.toString()));
      const bytes = objects.get(`${folder}${map.name}`)!;
      expect([bytes.length, sha256Of(bytes)]).toEqual([map.bytes, map.sha256]);
      const runs = decodeOffsetRuns(bytes, map.name);
      expect(runs).toHaveLength(map.run_count);
      parts.push(runs);
    }
    return { parts, runs: mergeOffsetRuns(parts) };
  }

  async function resultOf(topic: string, partition = 0): Promise<PartitionResult> {
    const at = { topic: `restored-${topic}`, partition };
    return (await (await finishedRestore()).result(at))!;
  }

  test("that is finished has all its documents", async () => {
    const record = await finishedRestore();
    const intent = (await record.intent())!;
    expect(intent).toMatchObject({ backup_id: backupId, manifest: { generation: 2 }, window: {} });
    expect(intent.topics).toHaveLength(8);
    expect(intent.findings).toMatchObject([{ severity: "warning", code: "gap" }]);
    for (const { target_topic, partitions } of intent.topics) {
      const target = (await record.target(target_topic))!;
      expect(target).toMatchObject({ topic: target_topic, created: true });
      expect((await record.restoredTopic(target_topic))!.topic_id).toBe(target.topic_id);
      for (const { target_partition: partition } of partitions) {
        const at = { topic: target_topic, partition };
        const { record_count } = (await record.result(at))!;
        expect((await record.verified(at))!.record_count).toBe(record_count);
      }
    }
    const report = (await record.report())!;
    expect(report).toMatchObject({ partition_count: 10, record_count: 232n, resumed: false });
    expect(report.kept_settings).toMatchObject([
      { topic: "restored-codecs", name: "retention.ms", value: "-1", wanted: "604800000" },
    ]);
  });

  test("that was given up keeps its window and says so", async () => {
    const record = (await restoresOf(storage, backupId))[1]!;
    const window = { start: 1_700_000_002_000n, end: 1_700_000_015_000n };
    expect((await record.intent())!.window).toEqual(window);
    expect((await record.abandoned())!.abandoned_at).toBeGreaterThan(1_795_000_000_000n);
    expect(await record.report()).toBeUndefined();
  });

  test("R3: has a map that leads every record to its place", async () => {
    const { topics } = (await (await finishedRestore()).report())!;
    for (const { source_topic, partitions } of topics) {
      for (const result of partitions) {
        const { runs } = await mapOf(await finishedRestore(), result);
        const state = (await manifestOf(backupId)).topics.find(({ name }) => name === source_topic)!
          .partitions[result.source_partition]!.lineages[result.lineage - 1]!;
        const at = { topic: source_topic, partition: result.source_partition };
        const seen = lifeOf(expected.records, { ...at, topic_id: state.topic_id });
        const places = seen.map(({ offset }) => translateOffset(runs, BigInt(offset), -1n));
        expect(places).toEqual(seen.map((_, i) => result.start_offset + BigInt(i)));
        expect(translateOffset(runs, state.next_offset, result.end_offset)).toBe(result.end_offset);
      }
    }
  });

  test("R3: maps offsets that were never records to the next record", async () => {
    const { runs } = await mapOf(await finishedRestore(), await resultOf("transactions"));
    expect(runs.map((run) => [run.sourceOffset, run.targetOffset, run.count])).toEqual([
      [8n, 0n, 3n],
      [12n, 3n, 1n],
      [14n, 4n, 2n],
      [17n, 6n, 2n],
      [20n, 8n, 1n],
      [23n, 9n, 3n],
    ]);
    const translated = [0n, 8n, 11n, 13n, 22n, 25n, 26n, 99n].map((offset) =>
      translateOffset(runs, offset, 12n),
    );
    expect(translated).toEqual([0n, 0n, 3n, 4n, 9n, 11n, 12n, 12n]);
  });

  test("R3: has parts of the map that adjoin, one for each checkpoint", async () => {
    const { parts, runs } = await mapOf(await finishedRestore(), await resultOf("frames"));
    expect(parts.length).toBeGreaterThan(1);
    expect(runs).toEqual([{ sourceOffset: 0n, targetOffset: 0n, count: 13n }]);
  });
});

describe("I3: version 1: a run that was interrupted", () => {
  test("is found, with its plan and the checkpoints to continue from", async () => {
    const run = (await catalog.openRun(backupId))!;
    expect(run.base_generation).toBe(2);
    const key = `${backupId}/state/runs/${run.run_id}/plan.json`;
    const plan = backupPlan.parse(JSON.parse((await storage.get(key)).toString()));
    expect(plan).toMatchObject({ state_id: run.run_id, base: { generation: 2 } });
    const ranges = plan.partitions.map(({ start_offset, end_offset }) => [
      start_offset,
      end_offset,
    ]);
    expect(ranges).toEqual([
      [20n, 40n],
      [80n, 160n],
    ]);
    const parts = await catalog.checkpoints(partOf(run.run_id, 0));
    expect(parts.map(({ next_offset }) => next_offset)).toEqual([30n, 40n]);
    expect(await catalog.checkpoints(partOf(run.run_id, 1))).toEqual([]);
  });

  test("has in its segments what Kafka's own consumer saw", async () => {
    const run = (await catalog.openRun(backupId))!;
    const records = [];
    const parts = await catalog.checkpoints(partOf(run.run_id, 0));
    for (const { segments } of parts) {
      for (const segment of segments) {
        records.push(...(await recordsOf(backupId, segment, { topic: "codecs" })));
      }
    }
    const at = { topic: "codecs", partition: 0, topic_id: parts[0]!.topic_id };
    expect(records.map(asExpected)).toEqual(lifeOf(expected.open_run, at));
  });

  test("let its lease go: the next one takes it at once, with the next token", async () => {
    const copy = catalogOn(await storageOf(objects));
    const { signal } = new AbortController();
    expect((await copy.acquireLease({ backupId, purpose: "backup" }, 0, signal)).token).toBe(9);
  });

  function partOf(runId: string, partition: number) {
    return { backupId, runId, topic: "codecs", partition };
  }
});

describe("I3: every document of version 1", () => {
  test("is of a kind that is known", () => {
    const kinds = new Set(documentsOf(objects).map(([key]) => readerOf(key).kind));
    expect([...kinds].sort()).toEqual([
      "abandoned restore",
      "backup plan",
      "checkpoint",
      "cluster document",
      "index",
      "lease",
      "manifest",
      "open run",
      "partition result",
      "partition start",
      "restore checkpoint",
      "restore intent",
      "restore report",
      "restore target",
      "restored topic",
      "run document",
      "run list",
      "verified partition",
    ]);
  });

  test("is refused by name when it is of version 2", () => {
    for (const [key, value] of documentsOf(objects)) {
      if (!("format_version" in value)) continue;
      const newer = Buffer.from(JSON.stringify({ ...value, format_version: 2, topics: "changed" }));
      expect(() => readerOf(key).read(key, newer), key).toThrowError(
        expect.objectContaining({
          name: "UnsupportedFormatVersionError",
          message: expect.stringMatching(/format version 2.* reads up to 1/),
        }),
      );
    }
  });

  test("is read the same with fields that are not known yet, wherever they are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...documentsOf(objects)),
        fc.jsonValue(),
        fc.nat(),
        ([key, value], future, choice) => {
          const { read, maps } = readerOf(key);
          const copy = structuredClone(value);
          const places = objectsIn(copy, maps);
          Object.assign(places[choice % places.length]!, { x_future: future });
          const before = read(key, Buffer.from(JSON.stringify(value)));
          expect(read(key, Buffer.from(JSON.stringify(copy)))).toEqual(before);
        },
      ),
      { numRuns: 2000, seed: 1 },
    );
  });

  test("is refused in a manifest that the catalogue reads", async () => {
    const key = `${backupId}/manifests/00000002.json`;
    const newer = objects
      .get(key)!
      .toString()
      .replace('"format_version": 1', '"format_version": 2');
    const changed = catalogOn(await storageOf(new Map(objects).set(key, Buffer.from(newer))));
    await expect(changed.latestManifest(backupId)).rejects.toMatchObject({
      name: "UnsupportedFormatVersionError",
    });
  });

  /** Objects with fields; what is keyed by names of users holds no fields. */
  function objectsIn(value: unknown, maps: readonly string[]): object[] {
    if (Array.isArray(value)) return value.flatMap((item) => objectsIn(item, maps));
    if (value === null || typeof value !== "object") return [];
    const inner = Object.entries(value).flatMap(([name, item]) =>
      maps.includes(name)
        ? Object.values(item).flatMap((of) => objectsIn(of, maps))
        : objectsIn(item, maps),
    );
    return [value, ...inner];
  }
});

test("I1: any byte that is changed in what the manifests vouch for is found", async () => {
  // The interrupted run's segments begin where generation 2 ends.
  const isOpen = (key: string) => /\/codecs\/partition=0\/segment-0{18}[23]0-/.test(key);
  const isVouchedFor = (key: string) => !/^[^/]+\/(state|restores)\//.test(key) && !isOpen(key);
  const keys = [...objects.keys()].filter(isVouchedFor).sort();
  expect(keys.length).toBeGreaterThan(90);
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...keys),
      share,
      fc.integer({ min: 1, max: 255 }),
      async (key, at, mask) => {
        const body = Buffer.from(objects.get(key)!);
        const position = Math.floor(at * body.length);
        body[position]! ^= mask;
        const changed = await storageOf(new Map(objects).set(key, body));
        const deps = { storage: changed, catalog: catalogOn(changed) };
        const request = { backup_id: key.slice(0, key.indexOf("/")), level: "deep" } as const;
        const report = await runValidation(deps, request, noDeadline);
        expect(report.status, `byte ${position} of ${key}`).toBe("damaged");
      },
    ),
    { numRuns: 300, seed: 20_261_121 },
  );
}, 120_000);
