/**
 * The items of the catalogue's table, and the questions they answer:
 *
 *     pk                                   sk                              asked for
 *     backups                              {backup_id}                     which backups there are
 *     backup#{backup_id}                   manifest#{generation, 8 digits} its versions, in order
 *     backup#{backup_id}                   run#{run_id}                    its runs, by time
 *     backup#{backup_id}                   lease#{purpose}                 who writes now
 *     backup#{backup_id}                   restore#{restore_id}            its restores, by time
 *     checkpoints#{backup_id}#{run_id}#{topic}
 *                  {partition, 10 digits}#{sequence, 8 digits}             how far a partition is
 *                  {partition, 10 digits}-{from_offset, 20 digits}-{leader_epoch}#{sequence, …}
 *                                                                          how far a range of it is
 *     snapshots                            {snapshot_id}                   offset snapshots, by time
 *
 * No id, run or topic holds a `#`. Items of what is under way expire, should nobody remove them.
 */
import { gunzipSync, gzipSync } from "node:zlib";
import type { LeaseScope, PartitionOfRun, StoredManifest } from "#core/catalog/catalog.ts";
import { sha256Of } from "#core/catalog/documents.ts";
import {
  type Manifest,
  manifest as manifestSchema,
  type RunEntry,
} from "#core/catalog/manifest.ts";
import type { RestoreSummary } from "#core/catalog/restore-summary.ts";
import type { Checkpoint, OpenRun } from "#core/catalog/run-state.ts";
import type { SnapshotSummary } from "#core/catalog/snapshot-summary.ts";
import { summaryOf } from "#core/catalog/summary.ts";
import type { TableItem, TableKey } from "#core/catalog/table.ts";
import { toJson } from "#core/json.ts";
import { inBackup, manifestKey } from "#core/storage/keys.ts";

export const backupsPk = "backups";
export const snapshotsPk = "snapshots";

/** DynamoDB's limit on an item is 400 KB, names and keys included. */
const bodyBytesMax = 350 * 1024;
/** Longer than any run is left open and still continued. */
const stateDays = 30;

export function backupItem({ manifest, sha256 }: StoredManifest): TableItem {
  const { backup_id, generation } = manifest;
  return {
    pk: backupsPk,
    sk: backup_id,
    manifest_key: inBackup(backup_id, manifestKey(generation)),
    sha256,
    summary: toJson(summaryOf(manifest)),
  };
}

/** Before a generation; `manifestPrefix` with one names that version alone. */
export function manifestPrefix(generation?: number): string {
  return `manifest#${generation === undefined ? "" : String(generation).padStart(8, "0")}`;
}

export function manifestItem({ manifest, sha256 }: StoredManifest): TableItem {
  const { backup_id, generation, created_at } = manifest;
  const contents = packedManifest(manifest);
  return {
    pk: backupPk(backup_id),
    sk: manifestPrefix(generation),
    manifest_key: inBackup(backup_id, manifestKey(generation)),
    sha256,
    created_at: String(created_at),
    summary: toJson(summaryOf(manifest)),
    ...(contents.length <= bodyBytesMax && { contents }),
  };
}

/** Runs that a version carries along: as many as `describe` shows unless told otherwise. */
const runsPacked = 10;

/** Bytes of a manifest unpacked: several times what `bodyBytesMax` of its base64 ever gives. */
const unpackedBytesMax = 64 * 1024 * 1024;

/** All but the older runs. A partition takes some 120 bytes, so 3,000 have room. */
function packedManifest(manifest: Manifest): string {
  const newest = { ...manifest, run_pages: [], runs: manifest.runs.slice(-runsPacked) };
  return gzipSync(toJson(newest)).toString("base64");
}

/** Undefined where it had no room in its item, or is none. */
export function unpackedManifest({ contents }: TableItem): Manifest | undefined {
  if (typeof contents !== "string") return undefined;
  try {
    const packed = Buffer.from(contents, "base64");
    const json = gunzipSync(packed, { maxOutputLength: unpackedBytesMax }).toString();
    return manifestSchema.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined; // As good as none: the bucket is asked.
  }
}

/** Undefined for what is none: as good as absent, the bucket is asked. */
export function jsonIn(value: TableItem[string] | undefined): unknown {
  try {
    return JSON.parse(String(value));
  } catch {
    return undefined;
  }
}

export function committedRunItem(backupId: string, run: RunEntry): TableItem {
  return {
    ...runKey(backupId, run.run_id),
    status: "committed",
    started_at: String(run.started_at),
    planned_at: String(run.planned_at),
    finished_at: String(run.finished_at),
    totals: toJson(run.totals),
  };
}

export function openRunItem(backupId: string, run: OpenRun, nowMs: number): TableItem {
  return {
    ...runKey(backupId, run.run_id),
    status: "open",
    base_generation: run.base_generation,
    started_at: String(run.started_at),
    expires_at: expiry(nowMs),
  };
}

export const restoresPrefix = "restore#";

/** What ended a restore comes after what began it. */
export const restoreOrder = { begun: 1, finished: 2, abandoned: 2 } as const;

export function restoreItem(backupId: string, restore: RestoreSummary): TableItem {
  return {
    ...{ pk: backupPk(backupId), sk: `${restoresPrefix}${restore.restore_id}` },
    ...{ status: restore.status, summary: toJson(restore) },
  };
}

export function snapshotItem(snapshot: SnapshotSummary): TableItem {
  const { snapshot_id, created_at, cluster_id } = snapshot;
  const fields = { created_at, cluster_id, summary: toJson(snapshot) };
  return { ...snapshotItemKey(snapshot_id), ...fields };
}

export function snapshotItemKey(snapshotId: string): TableKey {
  return { pk: snapshotsPk, sk: snapshotId };
}

export function leaseItem(
  { backupId, purpose }: LeaseScope,
  lease: { readonly owner: string; readonly token: number; readonly released: boolean },
): TableItem {
  return { pk: backupPk(backupId), sk: `lease#${purpose}`, ...lease };
}

/** `body` is the checkpoint as the bucket has it; left out where an item cannot hold it. */
export function checkpointItem(
  at: PartitionOfRun,
  part: Checkpoint,
  body: Buffer,
  nowMs: number,
): TableItem {
  return {
    ...checkpointKeyOf(at, part.sequence),
    written_at: String(part.written_at),
    next_offset: String(part.next_offset),
    sha256: sha256Of(body),
    expires_at: expiry(nowMs),
    ...(body.length <= bodyBytesMax && { body: body.toString() }),
  };
}

export function checkpointsPk(backupId: string, runId: string, topic: string): string {
  return `checkpoints#${backupId}#${runId}#${topic}`;
}

/** Of one partition, or of one of its ranges: no prefix is the beginning of another. */
export function checkpointsPrefix({ partition, range }: PartitionOfRun): string {
  const name = String(partition).padStart(10, "0");
  if (range === undefined) return `${name}#`;
  return `${name}-${String(range.from_offset).padStart(20, "0")}-${range.leader_epoch}#`;
}

function checkpointKeyOf(at: PartitionOfRun, sequence: number): TableKey {
  return {
    pk: checkpointsPk(at.backupId, at.runId, at.topic),
    sk: `${checkpointsPrefix(at)}${String(sequence).padStart(8, "0")}`,
  };
}

export function runKey(backupId: string, runId: string): TableKey {
  return { pk: backupPk(backupId), sk: `run#${runId}` };
}

export function backupPk(backupId: string): string {
  return `backup#${backupId}`;
}

function expiry(nowMs: number): number {
  return Math.floor(nowMs / 1000) + stateDays * 24 * 3600;
}
