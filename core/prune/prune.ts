/** Lists what a backup does not need, and removes it where that is asked for (C3, C6). */
import type { Lease } from "#core/catalog/catalog.ts";
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import { readNamedKeys } from "#core/prune/named-keys.ts";
import { findOrphans, type Orphan, type OrphanKind } from "#core/prune/orphans.ts";
import type { Clock, Deadline } from "#core/runtime.ts";
import { compareKeys, inBackup, leaseKey } from "#core/storage/keys.ts";
import {
  type BackupReader,
  type ManifestHistory,
  readManifestHistory,
} from "#core/validate/manifest-history.ts";

/**
 * How old an orphan must be. The lease keeps running backups out, but not a worker that was
 * frozen or cut off and does not know yet that another took its place: it may have stored a
 * segment and be about to write the checkpoint that names it. A Lambda lives 15 minutes, and a
 * day leaves room for a machine that was suspended overnight.
 */
export const graceDefaultMs = 24 * 60 * 60 * 1000;

/** Keys of one delete: the most that S3's DeleteObjects takes. */
const keysPerDelete = 1000;
/** Orphans that the result spells out, some 200 bytes each; all are counted. */
export const orphansListedMax = 10_000;

export interface PruneDeps extends BackupReader {
  readonly clock: Clock;
}

export interface PruneRequest {
  readonly backup_id: string;
  /** False: only say what would be removed. */
  readonly execute: boolean;
  /** An orphan that was written within this time is kept. */
  readonly grace_ms: number;
}

/** `young`: within the grace time. `kept`: of a kind that is not for this command to remove. */
export type OrphanFate = "removed" | "would_remove" | "young" | "kept";

export interface JudgedOrphan extends Orphan {
  readonly age_ms: number;
  readonly fate: OrphanFate;
}

export interface ObjectCount {
  readonly objects: number;
  readonly bytes: number;
}

export interface PruneResult {
  readonly backup_id: string;
  readonly generation: number;
  readonly executed: boolean;
  readonly grace_ms: number;
  /** What the manifests and open runs name. */
  readonly named_count: number;
  readonly counts: Readonly<Record<OrphanFate, ObjectCount>>;
  /** The first `orphansListedMax`, in order of their keys. */
  readonly orphans: readonly JudgedOrphan[];
  readonly left_out: number;
}

/**
 * Finds orphans and, with `execute`, removes them under the backup's lease. Never removes
 * anything of a backup whose manifests are missing, damaged or not chained: what they would name
 * is not known. Throws BackupNotFoundError, CorruptManifestError, BackupConflictError while a run
 * holds the lease (with `execute` only), and what StorageBackend throws.
 */
export async function pruneOrphans(
  deps: PruneDeps,
  request: PruneRequest,
  deadline: Deadline,
): Promise<PruneResult> {
  if (!request.execute) return judgeOrphans(deps, request, deps.clock.nowMs(), undefined, deadline);
  await refuseUnknownBackup(deps, request.backup_id);
  const scope = { backupId: request.backup_id, purpose: "backup" };
  return withLease(deps, scope, deadline, async (lease, deadline) => {
    const nowMs = await storesClock(deps, request.backup_id, lease);
    return judgeOrphans(deps, request, nowMs, lease, deadline);
  });
}

/** Before a lease is left behind in a backup that does not exist. */
async function refuseUnknownBackup({ catalog }: PruneDeps, backupId: string): Promise<void> {
  if ((await catalog.latestManifest(backupId)) === undefined) throw notFound(backupId);
}

function notFound(backupId: string): BackupError {
  const message = `backup "${backupId}" has no manifest: nothing says what it needs`;
  return new BackupError("BackupNotFoundError", message);
}

/** Ages are told by the store's own clock (C7): the time of a lease object that was just made. */
async function storesClock(
  { storage }: PruneDeps,
  backupId: string,
  lease: Lease,
): Promise<number> {
  await lease.renew();
  const key = inBackup(backupId, leaseKey("backup", lease.token));
  const info = await storage.head(key);
  if (info !== undefined) return info.lastModifiedMs;
  throw new BackupError("BackupConflictError", `${key} was there a moment ago, and is not`);
}

async function judgeOrphans(
  deps: PruneDeps,
  request: PruneRequest,
  nowMs: number,
  lease: Lease | undefined,
  deadline: Deadline,
): Promise<PruneResult> {
  const history = await readManifestHistory(deps, request.backup_id, deadline);
  const generation = newestOf(history);
  const named = await readNamedKeys(deps, history, deadline);
  const tally = new Tally();
  let doomed: JudgedOrphan[] = [];
  const removeDoomed = async () => {
    if (doomed.length === 0) return;
    await lease?.renew(); // A lost lease ends it here.
    await deps.storage.delete(doomed.map(({ key }) => key));
    for (const orphan of doomed) tally.add({ ...orphan, fate: "removed" });
    doomed = [];
  };
  for await (const orphan of findOrphans(deps.storage, request.backup_id, named, deadline)) {
    const judged = judge(orphan, nowMs, request.grace_ms);
    if (lease === undefined || judged.fate !== "would_remove") {
      tally.add(judged);
      continue;
    }
    doomed.push(judged);
    if (doomed.length >= keysPerDelete) await removeDoomed();
  }
  await removeDoomed();
  return {
    backup_id: request.backup_id,
    generation,
    executed: request.execute,
    grace_ms: request.grace_ms,
    named_count: named.keys.size,
    ...tally.result(),
  };
}

function newestOf({ backupId, newest, findings }: ManifestHistory): number {
  const damage = findings.find(({ severity }) => severity === "error");
  if (damage !== undefined) {
    throw new BackupError("CorruptManifestError", `nothing is pruned: ${damage.message}`);
  }
  if (newest === undefined) throw notFound(backupId);
  return newest.manifest.generation;
}

/** A later commit may name a run page that an earlier one wrote: those stay. */
const removableKinds: ReadonlySet<OrphanKind> = new Set([
  "segment",
  "index",
  "run_document",
  "run_state",
]);

function judge(orphan: Orphan, nowMs: number, graceMs: number): JudgedOrphan {
  const ageMs = Math.max(0, nowMs - orphan.last_modified_at);
  const fate = !removableKinds.has(orphan.kind)
    ? "kept"
    : ageMs < graceMs
      ? "young"
      : "would_remove";
  return { ...orphan, age_ms: ageMs, fate };
}

class Tally {
  readonly #orphans: JudgedOrphan[] = [];
  #leftOut = 0;
  readonly #counts: Record<OrphanFate, { objects: number; bytes: number }> = {
    removed: { objects: 0, bytes: 0 },
    would_remove: { objects: 0, bytes: 0 },
    young: { objects: 0, bytes: 0 },
    kept: { objects: 0, bytes: 0 },
  };

  add(orphan: JudgedOrphan): void {
    const count = this.#counts[orphan.fate];
    count.objects += 1;
    count.bytes += orphan.bytes;
    if (this.#orphans.length < orphansListedMax) this.#orphans.push(orphan);
    else this.#leftOut += 1;
  }

  result(): Pick<PruneResult, "counts" | "orphans" | "left_out"> {
    const orphans = this.#orphans.sort((a, b) => compareKeys(a.key, b.key));
    return { counts: this.#counts, orphans, left_out: this.#leftOut };
  }
}
