/** Which three-phase restore a command means. Call these with the lease of `run.ts` held. */
import pLimit from "p-limit";
import { BackupError } from "#core/errors.ts";
import { finishedRestore } from "#core/restore/identity.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import { RestoreRecord, restoresOf } from "#core/restore/restore-record.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { ThreePhaseIntent, ThreePhaseReport } from "#core/three-phase/documents.ts";
import { type ThreePhaseRecord, threePhasesOf } from "#core/three-phase/three-phase-record.ts";

/** Requests to the store under way at once. */
const concurrentRequests = 16;

export interface KnownThreePhase {
  readonly record: ThreePhaseRecord;
  readonly intent: ThreePhaseIntent;
}

async function unfinished(
  { storage, cluster }: Pick<ThreePhaseDeps, "storage" | "cluster">,
  backupId: string,
): Promise<KnownThreePhase[]> {
  const limit = pLimit(concurrentRequests);
  const look = async (record: ThreePhaseRecord): Promise<KnownThreePhase[]> => {
    const intent = (await record.isOver()) ? undefined : await record.intent();
    return intent?.target_cluster_id === cluster.clusterId ? [{ record, intent }] : [];
  };
  const records = await threePhasesOf(storage, backupId);
  return (await Promise.all(records.map((record) => limit(look, record)))).flat();
}

/** The unfinished one that the same request began into the same cluster. */
export async function threePhaseToContinue(
  deps: ThreePhaseDeps,
  backupId: string,
  requestSha256: string,
): Promise<KnownThreePhase | undefined> {
  const all = await unfinished(deps, backupId);
  return all.findLast(({ intent }) => intent.request_sha256 === requestSha256);
}

/**
 * One unfinished reset per target cluster and group, whatever backup of this storage it is out of:
 * rolling back one would undo the other. Throws BackupConflictError with the other's id.
 */
export async function refuseOtherResets(
  deps: ThreePhaseDeps,
  groups: readonly string[],
  ownId?: string,
): Promise<void> {
  const wanted = new Set(groups);
  for await (const backupId of deps.catalog.listBackups()) {
    for (const { record, intent } of await unfinished(deps, backupId)) {
      const group = intent.groups.find((name) => wanted.has(name));
      if (record.id === ownId || group === undefined) continue;
      throw new BackupError(
        "BackupConflictError",
        `three-phase restore ${record.id} of backup "${backupId}", which is to set the offsets ` +
          `of group ${JSON.stringify(group)}, is not finished`,
        {
          hint:
            "Repeat its command to continue it, or give it up with three-phase-restore " +
            `--abandon ${record.id}.`,
          details: { three_phase_id: record.id },
        },
      );
    }
  }
}

/** The newest finished one of the same request whose target topics are as it left them. */
export async function finishedThreePhase(
  deps: ThreePhaseDeps,
  backupId: string,
  requestSha256: string,
): Promise<{ report: ThreePhaseReport; restore: RestoreReport } | undefined> {
  const records = await threePhasesOf(deps.storage, backupId);
  for (const record of records.reverse()) {
    const report = await record.report();
    const isSame =
      report?.request_sha256 === requestSha256 &&
      report.target_cluster_id === deps.cluster.clusterId;
    if (!isSame) continue;
    const restore = await new RestoreRecord(deps.storage, backupId, report.restore_id).report();
    if (restore === undefined) continue;
    const { request_sha256, manifest } = restore;
    const found = await finishedRestore(deps, backupId, request_sha256, manifest.generation);
    if (found?.restore_id === restore.restore_id) return { report, restore };
  }
  return undefined;
}

/** The restore that it began or took for its own; undefined while there is none. */
export async function restoreWithin(
  { storage }: Pick<ThreePhaseDeps, "storage">,
  { intent, record }: KnownThreePhase,
): Promise<RestoreRecord | undefined> {
  const restored = await record.restored();
  const ownId = restored?.restore_id ?? intent.finished_restore_id;
  const records = await restoresOf(storage, intent.backup_id);
  if (ownId !== undefined) return records.find(({ restoreId }) => restoreId === ownId);
  const past = new Set(intent.past_restores);
  for (const candidate of records.reverse()) {
    if (past.has(candidate.restoreId) || (await candidate.abandoned()) !== undefined) continue;
    const found = await candidate.intent();
    const isSame =
      found?.request_sha256 === intent.restore_request_sha256 &&
      found.target_cluster_id === intent.target_cluster_id;
    if (isSame) return candidate;
  }
  return undefined;
}
