/** Lists offset snapshots that are too old to be kept, and removes them where that is asked for. */
import pLimit from "p-limit";
import type { Catalog } from "#core/catalog/catalog.ts";
import { type StoredSnapshot, storedSnapshots } from "#core/catalog/stored-ids.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { neededSnapshots } from "#core/prune/needed-snapshots.ts";
import type { Clock, Deadline, NewId } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { snapshotKey, snapshotsFolder } from "#core/storage/keys.ts";

export interface PruneSnapshotsDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly newId: NewId;
}

/** `safety`: those that commands took before they changed groups; `all`: of people, too. */
export const prunedSnapshotKinds = ["safety", "all"] as const;
export type PrunedSnapshotKind = (typeof prunedSnapshotKinds)[number];

export interface PruneSnapshotsRequest {
  readonly kind: PrunedSnapshotKind;
  /** Snapshots that were stored within this time are kept; at least `ageLeastMs`. */
  readonly older_than_ms: number;
  /** False: only say what would be removed. */
  readonly execute: boolean;
}

/**
 * A command that has just taken a snapshot may be about to write down that it needs it, or show its id
 * to a person: as for orphans, a day leaves room for a machine that was suspended overnight.
 */
export const ageLeastMs = 24 * 60 * 60 * 1000;

/**
 * `needed`: by a three-phase restore that is not over. `young`: within the time. `kept`: not of the
 * kind. `unreadable`: of no kind that can be told.
 */
export type SnapshotFate = "removed" | "would_remove" | "young" | "needed" | "kept" | "unreadable";

export interface JudgedSnapshot {
  readonly snapshot_id: string;
  readonly bytes: number;
  readonly age_ms: number;
  readonly fate: SnapshotFate;
  /** The three-phase restore, where it is needed. */
  readonly needed_by?: string;
}

export interface PruneSnapshotsResult extends PruneSnapshotsRequest {
  readonly counts: Readonly<Record<SnapshotFate, number>>;
  /** Ascending by id. */
  readonly snapshots: readonly JudgedSnapshot[];
}

/** Snapshots that are read at once. */
const concurrentReads = 8;
/** Keys of one delete: the most that S3's DeleteObjects takes. */
const keysPerDelete = 1000;

/**
 * Removes, with `execute`, snapshots of the kind that are older than asked and that no three-phase
 * restore which is not over has written down. What such a one needs is looked up after the list of
 * snapshots was made, so that one that is begun meanwhile has younger ones. Throws
 * InvalidRequestError for an age below `ageLeastMs`, and what `neededSnapshots`, Catalog and
 * StorageBackend throw: before anything is removed.
 */
export async function pruneSnapshots(
  deps: PruneSnapshotsDeps,
  request: PruneSnapshotsRequest,
  deadline: Deadline,
): Promise<PruneSnapshotsResult> {
  refuseYoung(request);
  const stored: StoredSnapshot[] = [];
  for await (const snapshot of storedSnapshots(deps.storage)) stored.push(snapshot);
  const nowMs = request.execute ? await storesClock(deps) : deps.clock.nowMs();
  const needed = await neededSnapshots(deps, deadline);
  const kindFate = await fatesByKind(deps, request.kind);
  const judge = async ({ snapshot_id, bytes, last_modified_at }: StoredSnapshot) => {
    deadline.signal.throwIfAborted();
    const age_ms = Math.max(0, nowMs - last_modified_at);
    const needed_by = needed.get(snapshot_id);
    const told = { snapshot_id, bytes, age_ms };
    if (age_ms < request.older_than_ms) return { ...told, fate: "young" } as const;
    if (needed_by !== undefined) return { ...told, fate: "needed", needed_by } as const;
    const fate = await kindFate(snapshot_id);
    return fate === "gone" ? undefined : { ...told, fate };
  };
  const limit = pLimit(concurrentReads);
  const answers = await Promise.all(stored.map((snapshot) => limit(judge, snapshot)));
  const judged = answers.filter((answer) => answer !== undefined);
  const snapshots = request.execute ? await removed(deps, judged, deadline) : judged;
  return { ...request, counts: counted(snapshots), snapshots };
}

function refuseYoung({ older_than_ms }: PruneSnapshotsRequest): void {
  if (older_than_ms >= ageLeastMs) return;
  throw new BackupError("InvalidRequestError", "snapshots younger than a day are never pruned", {
    hint: "Take an age of 24h or more; `offset-rollback delete` removes a single snapshot.",
  });
}

/** Ages are told by the store's own clock (C7): the time of an object that was just made. */
async function storesClock({ storage, newId }: PruneSnapshotsDeps): Promise<number> {
  const key = `${snapshotsFolder}now-${newId()}`;
  await storage.put(key, Buffer.alloc(0));
  const info = await storage.head(key);
  await storage.delete([key]);
  if (info !== undefined) return info.lastModifiedMs;
  throw new BackupError("BackupConflictError", `${key} was there a moment ago, and is not`);
}

/** `gone`: somebody else removed it. */
type KindFate = Extract<SnapshotFate, "would_remove" | "kept" | "unreadable"> | "gone";

/** What becomes of a snapshot that is old and not needed; reads what the catalogue does not know. */
async function fatesByKind(
  { storage, catalog }: PruneSnapshotsDeps,
  kind: PrunedSnapshotKind,
): Promise<(id: string) => Promise<KindFate>> {
  const known = new Map<string, boolean>();
  for await (const { snapshot_id, summary } of catalog.snapshots()) {
    if (summary !== undefined) known.set(snapshot_id, summary.safety);
  }
  return async (id) => {
    try {
      const isSafety = known.get(id) ?? (await readSnapshot(storage, id)).safety === true;
      return kind === "all" || isSafety ? "would_remove" : "kept";
    } catch (error) {
      if (isBackupError(error, "SnapshotNotFoundError")) return "gone";
      if (isBackupError(error, "CorruptManifestError", "UnsupportedFormatVersionError")) {
        return "unreadable";
      }
      throw error;
    }
  };
}

async function removed(
  { storage, catalog }: PruneSnapshotsDeps,
  judged: readonly JudgedSnapshot[],
  deadline: Deadline,
): Promise<JudgedSnapshot[]> {
  const doomed = judged.filter(({ fate }) => fate === "would_remove");
  for (let first = 0; first < doomed.length; first += keysPerDelete) {
    deadline.signal.throwIfAborted();
    const ids = doomed.slice(first, first + keysPerDelete).map(({ snapshot_id }) => snapshot_id);
    await catalog.forgetSnapshots(ids);
    await storage.delete(ids.map(snapshotKey));
  }
  return judged.map((one) => (one.fate === "would_remove" ? { ...one, fate: "removed" } : one));
}

function counted(snapshots: readonly JudgedSnapshot[]): Record<SnapshotFate, number> {
  const counts = { removed: 0, would_remove: 0, young: 0, needed: 0, kept: 0, unreadable: 0 };
  for (const { fate } of snapshots) counts[fate] += 1;
  return counts;
}
