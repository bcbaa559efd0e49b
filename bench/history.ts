/**
 * `npm run bench:history`: what a backup of a million segments costs to look at. The catalogue
 * itself writes the documents, as a thousand runs of a topic of a thousand partitions would have;
 * segments and indices are files of the right size with nothing in them, for no command that is
 * measured here opens one.
 *
 *   npm run bench:history -- --runs 100 --partitions 1000 --json out.json
 */
import { closeSync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Catalog } from "#core/catalog/catalog.ts";
import {
  type ClusterTopic,
  formatVersion,
  type LineageState,
  type Manifest,
  type RunEntry,
  type SegmentEntry,
} from "#core/catalog/manifest.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { addSegment, noneDropped, noTotals, sumOfTotals, totalsOf } from "#core/catalog/totals.ts";
import { newRunId } from "#core/run-id.ts";
import { softwareName } from "#core/software.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { inBackup, indexKeyOf, partitionFolder, segmentKey } from "#core/storage/keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { measured } from "./measured.ts";
import { atMost, type Row, row } from "./rows.ts";
import { sectionText } from "./table.ts";

const program = fileURLToPath(new URL("../bin/kafka-backup", import.meta.url));
const backupId = "history";
const topic = "events";
const topicId = "AAAAAAAAAAAAAAAAAAAAAA";
const firstRunMs = Date.UTC(2025, 0, 15);
const hourMs = 3_600_000;
const recordsPerSegment = 1_000;
const sha256 = "0".repeat(64);
const megabyte = 1_000_000;
const memoryTarget = atMost(512);

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "1000" },
    partitions: { type: "string", default: "1000" },
    json: { type: "string" },
  },
});

const clusterTopic: ClusterTopic = {
  name: topic,
  topic_id: topicId,
  partition_count: Number(values.partitions),
  replication_factor: 3,
  config: {},
};

/** Of one run: an hour of a partition. */
function segmentOf(run: number, partition: number): SegmentEntry {
  const baseOffset = BigInt(run * recordsPerSegment);
  const attempt = `${run}x${partition}`;
  return {
    key: segmentKey({ topic, partition, baseOffset, attempt }, "zst"),
    start_offset: baseOffset,
    end_offset: baseOffset + BigInt(recordsPerSegment) - 1n,
    end_timestamp: BigInt(firstRunMs + run * hourMs),
    record_count: recordsPerSegment,
    batch_count: 10,
    batch_bytes: 500_000,
    stored_bytes: 120_000,
    sha256,
    index_bytes: 600,
    index_sha256: sha256,
    leader_epochs: [{ epoch: 0, start_offset: 0n }],
  };
}

function writeSparse(file: string, bytes: number): void {
  const descriptor = openSync(file, "wx");
  ftruncateSync(descriptor, bytes);
  closeSync(descriptor);
}

class History {
  readonly #path: string;
  readonly #catalog: Catalog;
  readonly #lineages: LineageState[];
  #previous: { manifest: Manifest; sha256: string } | undefined;

  constructor(path: string, catalog: Catalog, partitions: number) {
    this.#path = path;
    this.#catalog = catalog;
    this.#lineages = Array.from({ length: partitions }, () => ({
      ...{ lineage: 1, topic_id: topicId, first_planned_at: BigInt(firstRunMs) },
      ...{ last_planned_at: -1n, start_offset: 0n, next_offset: 0n, last_leader_epoch: 0 },
      ...{ max_timestamp: -1n, totals: { ...noTotals }, dropped: noneDropped, gaps: [] },
    }));
    for (let partition = 0; partition < partitions; partition++) {
      const folder = inBackup(backupId, partitionFolder(topic, partition));
      mkdirSync(join(path, folder), { recursive: true });
    }
  }

  async addRun(run: number): Promise<void> {
    const segments = this.#lineages.map((_, partition) => segmentOf(run, partition));
    for (const { key, stored_bytes, index_bytes } of segments) {
      writeSparse(join(this.#path, inBackup(backupId, key)), stored_bytes);
      writeSparse(join(this.#path, inBackup(backupId, indexKeyOf(key))), index_bytes);
    }
    const entry = await this.#writeDocuments(run, segments);
    for (const [partition, segment] of segments.entries()) {
      const state = this.#lineages[partition]!;
      addSegment(state.totals, segment);
      this.#lineages[partition] = {
        ...state,
        last_planned_at: entry.planned_at,
        next_offset: segment.end_offset + 1n,
        max_timestamp: segment.end_timestamp,
      };
    }
    await this.#commit(entry);
  }

  async #writeDocuments(run: number, segments: readonly SegmentEntry[]): Promise<RunEntry> {
    const atMs = firstRunMs + run * hourMs;
    const run_id = newRunId(atMs, String(run).padStart(8, "0"));
    const of = { format_version: formatVersion, backup_id: backupId, run_id } as const;
    const partitions = segments.map((segment, partition) => ({
      ...{ partition, lineage: 1, topic_id: topicId, segments: [segment] },
    }));
    const list = await this.#catalog.writeRunList({ ...of, topic, partitions });
    const cluster = await this.#catalog.writeClusterDocument(backupId, run_id, {
      ...{ format_version: formatVersion, cluster_id: "bench", read_at: BigInt(atMs) },
      ...{ topics: [clusterTopic], consumer_groups: {}, unread_groups: [] },
    });
    const lists = [{ topic, ...list }];
    return {
      ...{ run_id, started_at: BigInt(atMs), planned_at: BigInt(atMs), lease_token: run + 1 },
      finished_at: BigInt(atMs + 60_000),
      run: await this.#catalog.writeRunDocument({ ...of, cluster, lists }),
      totals: totalsOf(segments),
    };
  }

  async #commit(entry: RunEntry): Promise<void> {
    const before = this.#previous;
    const { topic_id: _, ...describedTopic } = clusterTopic;
    const partitions = this.#lineages.map((state, partition) => ({
      ...{ partition, lineages: [state] },
    }));
    this.#previous = await this.#catalog.commitManifest({
      ...{ format_version: formatVersion, backup_id: backupId, cluster_id: "bench" },
      generation: (before?.manifest.generation ?? 0) + 1,
      created_at: entry.finished_at,
      created_by: softwareName,
      previous_sha256: before?.sha256 ?? null,
      topics: [{ ...describedTopic, partitions }],
      run_pages: before?.manifest.run_pages ?? [],
      runs: [...(before?.manifest.runs ?? []), entry],
    });
  }

  /** What the commands below must have counted. */
  get segmentCount(): number {
    return sumOfTotals(this.#lineages.map(({ totals }) => totals)).segment_count;
  }
}

const of = ["--backup-id", backupId];
const commands: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["list", ["list"]],
  ["describe", ["describe", ...of]],
  ["validate", ["validate", ...of]],
  ["prune --orphans", ["prune", "--orphans", "--grace", "0s", ...of]],
];

async function measure(path: string): Promise<{ rows: Row[]; said: Said }> {
  const rows: Row[] = [];
  const said: Record<string, unknown> = {};
  for (const [name, args] of commands) {
    process.stderr.write(`${name}\n`);
    const line = [program, ...args, "--path", path, "--format", "json"];
    const { stdout, wallMs, peakBytes } = await measured(process.execPath, line);
    said[name] = JSON.parse(stdout);
    rows.push(row(name, "s", wallMs / 1_000));
    rows.push(row(`${name}, peak memory`, "MB", peakBytes / megabyte, { target: memoryTarget }));
  }
  return { rows, said };
}

async function main(): Promise<void> {
  const [runs, partitions] = [Number(values.runs), Number(values.partitions)];
  if (![runs, partitions].every((count) => Number.isInteger(count) && count > 0)) {
    throw new Error("--runs and --partitions take whole numbers from 1 on");
  }
  const path = await mkdtemp(join(tmpdir(), "kafka-backup-history-"));
  try {
    const storage = openFilesystem(path);
    const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
    const history = new History(path, catalog, partitions);
    for (let run = 0; run < runs; run++) {
      if (run % 100 === 0) process.stderr.write(`writing run ${run + 1} of ${runs}\n`);
      await history.addRun(run);
    }
    await storage.close();
    const { rows, said } = await measure(path);
    const { segmentCount } = history;
    requireCounted(said, segmentCount);
    const section = {
      name: "history",
      title: `A history of ${segmentCount.toLocaleString("en-US")} segments in ${runs} runs`,
      columns: ["kafka-backup", ""],
      rows,
    } as const;
    process.stdout.write(`\n${sectionText(section)}`);
    if (values.json !== undefined) {
      await writeFile(values.json, `${JSON.stringify({ sections: [section] }, null, 2)}\n`);
    }
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

interface Said {
  readonly list?: readonly { readonly record_count: number }[];
  readonly describe?: { readonly totals: { readonly segment_count: number } };
  readonly validate?: { readonly status: string; readonly checked: { readonly segments: number } };
  readonly "prune --orphans"?: { readonly named_count: number; readonly left_out: number };
}

/** A command that overlooked segments would be a fast one. */
function requireCounted(said: Said, segmentCount: number): void {
  const { list, describe, validate, "prune --orphans": prune } = said;
  const counted = [
    (list?.[0]?.record_count ?? 0) / recordsPerSegment,
    describe?.totals.segment_count,
    validate?.status === "sound" ? validate.checked.segments : 0,
  ];
  const isWhole = counted.every((count) => count === segmentCount);
  // Of a segment and its index each, and the documents.
  const isNamed = (prune?.named_count ?? 0) > 2 * segmentCount && prune?.left_out === 0;
  if (!isWhole || !isNamed) throw new Error(JSON.stringify(said).slice(0, 5_000));
}

await main();
