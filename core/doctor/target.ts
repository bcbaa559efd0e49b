/** The cluster that a restore writes to. What would be refused is asked with `validate_only`. */
import type { RestoreConfig } from "#core/config/schema.ts";
import { checkLease } from "#core/doctor/backup-state.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { checkResettableGroups, knownGroups } from "#core/doctor/groups.ts";
import { reachCluster, type Ward } from "#core/doctor/ward.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type Finding, findingLine } from "#core/restore/findings.ts";
import { meantRestore } from "#core/restore/identity.ts";
import { preflight } from "#core/restore/preflight.ts";
import { restoreRequestOf } from "#core/restore/request.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { groupsOf } from "#core/three-phase/request.ts";

export async function examineTarget(
  ward: Ward,
  config: RestoreConfig,
  clusterConfig: ClusterConfig,
): Promise<void> {
  const { examination, storage, catalog, deps } = ward;
  const groups = groupsOf(config);
  const others = ["restore", ...(groups === undefined ? [] : ["groups" as const])] as const;
  const cluster = await reachCluster(ward, "target", clusterConfig, others);
  if (cluster === undefined) {
    examination.skip("storage", ["lease"], "the cluster that the restores are into is not known");
    return;
  }
  const scope = restoreScope(config.backup_id, cluster.clusterId);
  const lease = examination.check("storage", "lease", (signal) =>
    checkLease(storage, scope, deps.clock, signal),
  );
  const stored = await ward.stored;
  if (stored === undefined || stored === null) {
    examination.skip("target", others, "there is no backup that can be read");
    await lease;
    return;
  }
  await Promise.all([
    lease,
    examination.check("target", "restore", () => checkRestore(ward, config, cluster)),
    groups === undefined
      ? undefined
      : examination.check("target", "groups", async () =>
          checkResettableGroups(cluster, await knownGroups(catalog, stored), groups),
        ),
  ]);
}

/** The checks before the first write of a restore (R4), as `restore --dry-run` makes them. */
async function checkRestore(
  { storage, catalog, deps }: Ward,
  config: RestoreConfig,
  cluster: Cluster,
): Promise<Checked<void>> {
  const request = restoreRequestOf(config);
  const meant = await meantRestore({ storage, catalog, cluster, ...deps }, request, false);
  if (meant.status === "continued") {
    const { restore_id, findings } = meant.intent;
    const seen = `restore ${restore_id} is not finished; the command would continue it`;
    return { seen, findings: findings.map(foundOf), value: undefined };
  }
  if (meant.status === "already_done") {
    const seen = `restore ${meant.report.restore_id} has done this already`;
    return { seen, value: undefined };
  }
  const { findings } = await preflight(cluster, meant.plan, request, deps.clock.nowMs());
  const count = meant.plan.topics.length;
  return {
    seen: `${count} topics to restore from generation ${meant.plan.stored.manifest.generation}`,
    findings: findings.map(foundOf),
    value: undefined,
  };
}

function foundOf(finding: Finding): Found {
  const { severity, code, remedy } = finding;
  return { severity, code, message: findingLine(finding), remedy };
}
