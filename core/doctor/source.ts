/** The cluster that a backup reads: topics, rights, retention, and the space that they take. */

import type { BackupConfig } from "#core/config/schema.ts";
import { otherCluster } from "#core/doctor/backup-state.ts";
import { checkReadableGroups } from "#core/doctor/groups.ts";
import { type PartitionLog, readLogs } from "#core/doctor/logs.ts";
import { checkRetention } from "#core/doctor/retention.ts";
import { judgeSpace, neededSpace } from "#core/doctor/space.ts";
import { checkTopics } from "#core/doctor/topics.ts";
import { reachCluster, type Ward } from "#core/doctor/ward.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";

export async function examineSource(
  ward: Ward,
  { source }: Pick<BackupConfig, "source">,
  config: ClusterConfig,
): Promise<void> {
  const { examination } = ward;
  const others = ["topics", "groups", "retention"] as const;
  const cluster = await reachCluster(ward, "source", config, others);
  if (cluster === undefined) {
    skipSpace(ward, "the topics' size is not known");
    return;
  }
  const readingGroups = examination.check("source", "groups", () => checkReadableGroups(cluster));
  const [stored, topics] = await Promise.all([
    ward.stored,
    examination.check("source", "topics", async () => {
      const checked = await checkTopics(cluster, source.topics);
      const other = otherCluster(await ward.stored, cluster.clusterId);
      return { ...checked, findings: [...(checked.findings ?? []), ...(other ? [other] : [])] };
    }),
  ]);
  const isOther = otherCluster(stored, cluster.clusterId) !== undefined;
  const reason = skipReason(topics === undefined, stored === undefined, isOther);
  if (reason !== undefined || topics === undefined) {
    examination.skip("source", ["retention"], reason ?? "");
    skipSpace(ward, reason ?? "");
    await readingGroups;
    return;
  }
  const manifest = stored?.manifest;
  const logs = readLogs(cluster, topics, manifest);
  const nowMs = ward.deps.clock.nowMs();
  await Promise.all([
    readingGroups,
    examination.check("source", "retention", async () =>
      checkRetention(cluster, await logs, manifest, nowMs),
    ),
    checkSpace(ward, cluster, logs),
  ]);
}

function skipReason(
  noTopics: boolean,
  noManifest: boolean,
  isOtherCluster: boolean,
): string | undefined {
  if (noTopics) return "the topics are not known";
  if (noManifest) return "the backup could not be read";
  return isOtherCluster ? "the backup is of another cluster" : undefined;
}

function skipSpace({ request, examination }: Ward, reason: string): void {
  if (request.storage.backend === "filesystem") examination.skip("storage", ["space"], reason);
}

/** A bucket has no end. */
async function checkSpace(
  { request, deps, examination, stored }: Ward,
  cluster: Cluster,
  logs: Promise<PartitionLog[]>,
): Promise<void> {
  const { storage } = request;
  if (storage.backend !== "filesystem") return;
  await examination.check("storage", "space", async () => {
    const free = await deps.freeSpaceAt(storage.path);
    return judgeSpace(free, await neededSpace(cluster, await logs, (await stored)?.manifest));
  });
}
