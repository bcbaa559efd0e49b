import { expect, test } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import {
  formatVersion,
  type Manifest,
  type RunEntry,
  type RunList,
} from "#core/catalog/manifest.ts";
import { type SegmentSelection, segmentsOf } from "#core/catalog/segments-of.ts";
import { noTotals } from "#core/catalog/totals.ts";
import type { ErrorName } from "#core/errors.ts";
import { openMemory } from "#core/storage/memory.ts";
import {
  backupId,
  clusterDocumentOf,
  lineageOf,
  manifestOf,
  runDocumentOf,
  runEntryOf,
  runListOf,
  segmentOf,
  topicId,
} from "#test/support/catalog-documents.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";

type Partitions = RunList["partitions"];

function partitionOf(partition: number, lineage: number, ...ranges: [bigint, bigint][]) {
  const segments = ranges.map(([start, end]) =>
    segmentOf(start, end, { topic: "orders", partition }),
  );
  return { partition, lineage, topic_id: topicId, segments };
}

/** Writes one run for each of `runs`, and the manifest that goes with them. */
async function backupOf(
  catalog: Catalog,
  runs: Partitions[],
  change: (topics: Manifest["topics"]) => void = () => {},
): Promise<Manifest> {
  const entries: RunEntry[] = [];
  for (const [i, partitions] of runs.entries()) {
    const entry = runEntryOf(i + 1);
    const { run_id } = entry;
    const cluster = await catalog.writeClusterDocument(backupId, run_id, clusterDocumentOf());
    const other = runListOf({ run_id, topic: "other" });
    const lists = [{ topic: "other", ...(await catalog.writeRunList(other)) }];
    if (partitions.length > 0) {
      const list = runListOf({ run_id, partitions });
      lists.push({ topic: "orders", ...(await catalog.writeRunList(list)) });
    }
    const run = await catalog.writeRunDocument(runDocumentOf({ run_id, cluster, lists }));
    entries.push({ ...entry, run });
  }
  const topics = [topicOf(runs.flat())];
  change(topics);
  return (await catalog.commitManifest(manifestOf({ topics, runs: entries }))).manifest;
}

function topicOf(found: Partitions): Manifest["topics"][number] {
  const ids = [...new Set(found.map(({ partition }) => partition))].sort();
  const lineagesOf = (id: number) => {
    const ofPartition = found.filter(({ partition }) => partition === id);
    const numbers = [...new Set(ofPartition.map(({ lineage }) => lineage))].sort();
    return numbers.map((lineage) => {
      const segments = ofPartition.filter((p) => p.lineage === lineage).flatMap((p) => p.segments);
      const totals = {
        ...noTotals,
        segment_count: segments.length,
        batch_count: segments.length,
        record_count: segments.reduce((sum, segment) => sum + segment.record_count, 0),
      };
      return lineageOf({ lineage, totals, next_offset: segments.at(-1)!.end_offset + 1n });
    });
  };
  return {
    name: "orders",
    partition_count: ids.length,
    replication_factor: 1,
    config: {},
    partitions: ids.map((partition) => ({ partition, lineages: lineagesOf(partition) })),
  };
}

const runs: Partitions[] = [
  [partitionOf(0, 1, [0n, 9n], [12n, 19n]), partitionOf(1, 1, [0n, 4n])],
  [],
  [partitionOf(0, 1, [20n, 29n]), partitionOf(0, 2, [0n, 3n])],
  [partitionOf(0, 2, [4n, 5n])],
];

async function offsets(catalog: Catalog, manifest: Manifest, selection: SegmentSelection) {
  const found = await collect(segmentsOf(catalog, manifest, selection));
  return found.map(
    ({ runId, partition, lineage, segment }) =>
      `${runId} ${partition}/${lineage} ${segment.start_offset}-${segment.end_offset}`,
  );
}

test("all segments of a topic come run by run, those of a lineage in order", async () => {
  const catalog = catalogOn(openMemory());
  const manifest = await backupOf(catalog, runs);
  expect(await offsets(catalog, manifest, { topic: "orders" })).toEqual([
    "run-00001 0/1 0-9",
    "run-00001 0/1 12-19",
    "run-00001 1/1 0-4",
    "run-00003 0/1 20-29",
    "run-00003 0/2 0-3",
    "run-00004 0/2 4-5",
  ]);
});

test("one partition or one lineage may be asked for", async () => {
  const catalog = catalogOn(openMemory());
  const manifest = await backupOf(catalog, runs);
  expect(await offsets(catalog, manifest, { topic: "orders", partition: 1 })).toEqual([
    "run-00001 1/1 0-4",
  ]);
  expect(await offsets(catalog, manifest, { topic: "orders", partition: 0, lineage: 2 })).toEqual([
    "run-00003 0/2 0-3",
    "run-00004 0/2 4-5",
  ]);
});

test("what the manifest does not hold is not found", async () => {
  const catalog = catalogOn(openMemory());
  const manifest = await backupOf(catalog, runs);
  for (const selection of [
    { topic: "absent" },
    { topic: "orders", partition: 9 },
    { topic: "orders", partition: 1, lineage: 2 },
  ]) {
    await expect(offsets(catalog, manifest, selection)).rejects.toMatchObject({
      name: "TopicNotFoundError" satisfies ErrorName,
    });
  }
});

const damages: [string, Partitions[], (topics: Manifest["topics"]) => void, RegExp][] = [
  [
    "overlap from one run to the next",
    [[partitionOf(0, 1, [0n, 9n])], [partitionOf(0, 1, [9n, 19n])]],
    () => {},
    /runs\/run-00002\/topics\/orders\.json: partition 0: .* begins at offset 9/,
  ],
  [
    "reach past where the next run continues",
    [[partitionOf(0, 1, [0n, 9n])]],
    ([topic]) => {
      topic!.partitions[0]!.lineages[0]!.next_offset = 9n;
    },
    /ends at offset 9, but the manifest's next_offset is 9/,
  ],
  [
    "belong to another life of the topic",
    [[partitionOf(0, 1, [0n, 9n])]],
    ([topic]) => {
      topic!.partitions[0]!.lineages[0]!.topic_id = "another";
    },
    /has no lineage 1 of topic id/,
  ],
  [
    "belong to a partition that the manifest does not hold",
    [[partitionOf(0, 1, [0n, 9n])], [partitionOf(1, 1, [0n, 9n])]],
    ([topic]) => {
      topic!.partitions.pop();
    },
    /partition 1: the manifest has no lineage 1/,
  ],
  [
    "are fewer than the totals say",
    [[partitionOf(0, 1, [0n, 9n])]],
    ([topic]) => {
      topic!.partitions[0]!.lineages[0]!.totals.segment_count = 2;
    },
    /should have 2 segments/,
  ],
];

test.each(damages)("I1: segments that %s are found", async (_, changed, change, problem) => {
  const catalog = catalogOn(openMemory());
  const manifest = await backupOf(catalog, changed, change);
  await expect(offsets(catalog, manifest, { topic: "orders" })).rejects.toMatchObject({
    name: "CorruptManifestError",
    message: expect.stringMatching(problem),
  });
});

test("a million segments pass with only a few lists in memory", async () => {
  const [runCount, perRun, listBytes] = [1_000, 1_000, 700_000];
  const reference = { sha256: "0".repeat(64), bytes: listBytes };
  let underWay = 0;
  let mostUnderWay = 0;
  const catalog: Pick<Catalog, "runsOf" | "readRunDocument" | "readRunList"> = {
    async *runsOf() {
      for (let i = 0; i < runCount; i++) {
        const entry = runEntryOf(i);
        yield { ...entry, run: { ...entry.run, key: `${i}` } };
      }
    },
    readRunDocument: async (_, { key }) =>
      runDocumentOf({ run_id: key, lists: [{ topic: "orders", ...reference, key }] }),
    readRunList: async (_, { key }) => {
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      const first = BigInt(key) * BigInt(perRun);
      const template = segmentOf(0n, 0n);
      const segments = Array.from({ length: perRun }, (_, i) => {
        const offset = first + BigInt(i);
        return { ...template, start_offset: offset, end_offset: offset };
      });
      return runListOf({
        run_id: key,
        partitions: [{ partition: 0, lineage: 1, topic_id: topicId, segments }],
      });
    },
  };
  const count = runCount * perRun;
  const totals = { ...noTotals, segment_count: count, batch_count: count, record_count: count };
  const lineages = [lineageOf({ next_offset: BigInt(count), totals })];
  const topic = { name: "orders", partition_count: 1, replication_factor: 1, config: {} };
  const manifest: Manifest = {
    ...manifestOf(),
    format_version: formatVersion,
    topics: [{ ...topic, partitions: [{ partition: 0, lineages }] }],
  };

  let seen = 0;
  for await (const { segment } of segmentsOf(catalog as Catalog, manifest, { topic: "orders" })) {
    if (segment.start_offset !== BigInt(seen)) throw new Error(`not offset ${seen}`);
    if (++seen % perRun === 0) underWay--;
  }
  expect(seen).toBe(count);
  // 4 MiB of lists of 700 kB each are 5, and one more is being passed through.
  expect(mostUnderWay).toBeLessThanOrEqual(7);
  expect(mostUnderWay).toBeGreaterThan(1);
}, 60_000);
