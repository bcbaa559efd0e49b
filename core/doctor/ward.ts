/** What the checks of one examination share. */
import type { Catalog, StoredManifest } from "#core/catalog/catalog.ts";
import { checkBrokers } from "#core/doctor/brokers.ts";
import type { CheckName, DoctorDeps, DoctorRequest, Subject } from "#core/doctor/contract.ts";
import type { Examination } from "#core/doctor/examination.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export interface Ward {
  readonly deps: DoctorDeps;
  readonly request: DoctorRequest;
  readonly examination: Examination;
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  /** The newest manifest; null where there is none, undefined where it could not be read. */
  readonly stored: Promise<StoredManifest | null | undefined>;
  /** Has what was opened closed at the end. */
  closeLater(close: () => Promise<void>): void;
}

/** Requests that may be repeated are repeated for so long: the examination is to end soon. */
const retryBudgetMs = 3_000;

/** Connects to those bootstrap servers that answer; undefined, and `others` skipped, if none does. */
export async function reachCluster(
  ward: Ward,
  subject: Exclude<Subject, "storage">,
  config: ClusterConfig,
  others: readonly CheckName[],
): Promise<Cluster | undefined> {
  const { examination } = ward;
  const deps = { ...ward.deps, retryBudgetMs };
  const { mode } = ward.request.config;
  const reading = subject === "source" ? "backup" : mode;
  const reached = await examination.check(subject, "brokers", (signal) =>
    checkBrokers(config, reading, deps, signal),
  );
  const bootstrap_servers = reached?.bootstrap_servers ?? [];
  if (bootstrap_servers.length === 0) {
    examination.skip(subject, ["cluster", ...others], "no broker answers");
    return undefined;
  }
  const connecting = connectCluster({ ...config, bootstrap_servers }, deps);
  ward.closeLater(() =>
    connecting.then(
      (cluster) => cluster.disconnect(),
      () => undefined,
    ),
  );
  const cluster = await examination.check(subject, "cluster", async () => {
    const value = await connecting;
    const brokers = await value.brokerIds();
    return { seen: `${value.clusterId} with brokers ${brokers.join(", ")}`, value };
  });
  if (cluster === undefined) examination.skip(subject, others, "the cluster does not answer");
  return cluster;
}
