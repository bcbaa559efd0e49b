/** By which reader each document of a backup is read. */
import { z } from "zod";
import { backupPlan } from "#core/backup/contract.ts";
import { parseDocument, parseState } from "#core/catalog/documents.ts";
import { clusterDocument, manifest, runDocument, runList } from "#core/catalog/manifest.ts";
import { checkpoint, openRun } from "#core/catalog/run-state.ts";
import {
  abandonedRestore,
  partitionResult,
  partitionStart,
  restoreCheckpoint,
  restoredTopic,
  restoreIntent,
  restoreTarget,
  verifiedPartition,
} from "#core/restore/documents.ts";
import { restoreReport } from "#core/restore/report.ts";
import { decodeIndex } from "#core/segment/segment-index.ts";
import type { Objects } from "#test/support/golden-backup.ts";

export interface DocumentReader {
  readonly kind: string;
  readonly pattern: RegExp;
  readonly read: (key: string, body: Buffer) => unknown;
  /** Fields whose own fields are names of topics, groups or settings. */
  readonly maps: readonly string[];
}

function versioned(kind: string, pattern: RegExp, schema: z.ZodType, maps: string[] = []) {
  return {
    kind,
    pattern,
    maps,
    read: (key: string, body: Buffer) => parseDocument(key, body, schema),
  };
}

function state(kind: string, pattern: RegExp, schema: z.ZodType, maps: string[] = []) {
  return {
    kind,
    pattern,
    maps,
    read: (key: string, body: Buffer) => parseState(key, body, schema),
  };
}

/** As `core/catalog/lease.ts` reads it. */
const lease = z.object({ owner: z.string(), purpose: z.string(), released: z.boolean() });

const readers: readonly DocumentReader[] = [
  versioned("manifest", /^manifest(s\/\d+)?\.json$/, manifest, ["config"]),
  versioned("run document", /^runs\/[^/]+\/run\.json$/, runDocument),
  versioned("run list", /^runs\/[^/]+\/topics\/.*\.json$/, runList),
  versioned("cluster document", /^runs\/[^/]+\/cluster\.json$/, clusterDocument, [
    ...["config", "consumer_groups", "partitions"],
  ]),
  {
    kind: "index",
    pattern: /^topics\/.*\.index$/,
    maps: [],
    read: (key, body) => decodeIndex(body, key),
  },
  state("lease", /^state\/lease\//, lease),
  state("open run", /^state\/runs\/[^/]+\/run\.json$/, openRun),
  versioned("backup plan", /^state\/runs\/[^/]+\/plan\.json$/, backupPlan, [
    "config",
    "consumer_groups",
  ]),
  state("checkpoint", /^state\/runs\/[^/]+\/checkpoints\//, checkpoint),
  versioned("restore intent", /^restores\/[^/]+\/intent\.json$/, restoreIntent, [
    ...["config", "settings_during"],
  ]),
  versioned("restore report", /^restores\/[^/]+\/report\.json$/, restoreReport),
  state("abandoned restore", /^restores\/[^/]+\/abandoned\.json$/, abandonedRestore),
  state("restore target", /^restores\/[^/]+\/targets\//, restoreTarget, ["settings_before"]),
  state("restored topic", /^restores\/[^/]+\/restored\//, restoredTopic),
  state("partition start", /\/partitions\/.*\/start\.json$/, partitionStart),
  state("partition result", /\/partitions\/.*\/result\.json$/, partitionResult),
  state("verified partition", /\/partitions\/.*\/verified\.json$/, verifiedPartition),
  state("restore checkpoint", /\/partitions\/.*\/checkpoint-\d+\.json$/, restoreCheckpoint),
];

/** The one reader of the document at `key`, which begins with the backup's id. */
export function readerOf(key: string): DocumentReader {
  const path = key.slice(key.indexOf("/") + 1);
  const found = readers.filter(({ pattern }) => pattern.test(path));
  if (found.length !== 1) throw new Error(`${found.length} readers for ${key}`);
  return found[0]!;
}

/** Every JSON document, in key order. */
export function documentsOf(objects: Objects): [key: string, value: Record<string, unknown>][] {
  return [...objects]
    .filter(([key]) => key.endsWith(".json") || key.endsWith(".index"))
    .map(([key, body]): [string, Record<string, unknown>] => [key, JSON.parse(body.toString())])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
