/** What is stored of the backup already: whose it is, and whether a run holds it. */
import type { Catalog, LeaseScope, StoredManifest } from "#core/catalog/catalog.ts";
import { leaseTtlMs, lookAtLease } from "#core/catalog/lease.ts";
import type { Config } from "#core/config/schema.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import type { Clock } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

/** A holder renews every 10 s: one that is alive has moved the lease within this time. */
const aliveWithinMs = 12_000;
const lookEveryMs = 1_000;
/** As the alarm `lease-stuck` of a deployment. */
const stuckMs = 12 * 3_600_000;

/** The value: the newest manifest, `null` where there is none. */
export async function checkBackup(
  catalog: Catalog,
  { mode, backup_id }: Config,
): Promise<Checked<StoredManifest | null>> {
  const stored = await catalog.latestManifest(backup_id);
  if (stored !== undefined) {
    const { generation, topics, cluster_id } = stored.manifest;
    const seen = `generation ${generation} with ${topics.length} topics of cluster ${cluster_id}`;
    return { seen, value: stored };
  }
  const message = `there is no committed backup "${backup_id}"`;
  const missing: Found = {
    severity: "error",
    code: "no-backup",
    message,
    remedy: "`kafka-backup list --path LOCATION` shows what is there.",
  };
  return {
    seen: mode === "backup" ? "none yet: the first run will be full" : message,
    findings: mode === "backup" ? [] : [missing],
    value: null,
  };
}

/** A backup belongs to one cluster. */
export function otherCluster(
  stored: StoredManifest | null | undefined,
  clusterId: string,
): Found | undefined {
  const manifest = stored?.manifest;
  if (manifest === undefined || manifest.cluster_id === clusterId) return undefined;
  return {
    severity: "error",
    code: "other-cluster",
    message:
      `backup "${manifest.backup_id}" belongs to cluster ${manifest.cluster_id}, ` +
      `but source is cluster ${clusterId}`,
    remedy: "Give each cluster a backup_id of its own, or correct source.bootstrap_servers.",
  };
}

/** Looks for some seconds whether the lease moves, where there is one. */
export async function checkLease(
  storage: StorageBackend,
  scope: LeaseScope,
  clock: Clock,
  signal: AbortSignal,
): Promise<Checked<void>> {
  const first = await lookAtLease(storage, scope);
  if (first === undefined) return { seen: "no run holds the backup", value: undefined };
  let moves = false;
  for (let waitedMs = 0; !moves && waitedMs < aliveWithinMs; waitedMs += lookEveryMs) {
    await clock.sleep(lookEveryMs, signal);
    const next = await lookAtLease(storage, scope);
    if (next === undefined) return { seen: "a run has just ended", value: undefined };
    moves = next.token !== first.token;
  }
  const since = first.heldSince === undefined ? undefined : Number(first.heldSince);
  const isStuck = since !== undefined && clock.nowMs() - since > stuckMs;
  const sinceText = since === undefined ? "" : ` since ${new Date(since).toISOString()}`;
  const finding: Found = moves
    ? {
        severity: isStuck ? "warning" : "info",
        code: isStuck ? "lease-stuck" : "lease-held",
        message: `a run that is alive holds the lease "${scope.purpose}"${sinceText}`,
        remedy: "Let it end, or stop it: other runs of this backup exit 11 meanwhile.",
      }
    : {
        severity: "info",
        code: "lease-left",
        message: `a run that seems dead has left the lease "${scope.purpose}"${sinceText}`,
        remedy: `Nothing: the next run takes it over after ${leaseTtlMs / 1000} s.`,
      };
  const seen = moves ? "a run is under way" : "a run was interrupted";
  return { seen, findings: [finding], value: undefined };
}
