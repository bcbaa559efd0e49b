/**
 * Runs the real engine on a real cluster and storage, and ends its own process with SIGKILL at a
 * named point. Its one argument is a `KilledJob` as JSON; stdout gets every event up to that
 * point, a line each.
 */
import { writeSync } from "node:fs";
import type { BackupRequest } from "#core/backup/contract.ts";
import { runBackup } from "#core/backup/run.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { type RestoreOptions, runRestore } from "#core/restore/run.ts";
import { deadlineAt, silentLogger } from "#core/runtime.ts";
import type { StorageConfig } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";
import type { ThreePhaseOptions, ThreePhaseRequest } from "#core/three-phase/contract.ts";
import { runThreePhase } from "#core/three-phase/run.ts";
import { watchedCluster, watchedStorage } from "#test/e2e/kill/watched.ts";

export interface KillPoint {
  /** Regular expression over events, see `watched.ts`. */
  readonly at: string;
  /** The which of those that match, counted from 1. */
  readonly nth: number;
}

export interface KilledJob {
  readonly bootstrapServers: string;
  readonly storage: StorageConfig;
  readonly work:
    | { readonly backup: BackupRequest }
    | { readonly restore: RestoreRequest; readonly options: RestoreOptions }
    | { readonly threePhase: ThreePhaseRequest; readonly options: ThreePhaseOptions };
  /** Absent: run to the end. */
  readonly kill?: KillPoint;
}

const job = JSON.parse(process.argv[2]!) as KilledJob;

let matches = 0;
function onEvent(event: string): void {
  writeSync(1, `${event}\n`);
  if (job.kill === undefined || !new RegExp(job.kill.at).test(event)) return;
  matches += 1;
  if (matches === job.kill.nth) process.kill(process.pid, "SIGKILL");
}

const logger = silentLogger;
const storage = watchedStorage(await openStorage(job.storage, { clock: systemClock }), onEvent);
const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
const connection = { bootstrap_servers: [job.bootstrapServers] };
const cluster = await connectCluster(connection, { clock: systemClock, logger });
const deps = {
  storage,
  catalog,
  cluster: watchedCluster(cluster, onEvent),
  clock: systemClock,
  logger,
  newId: randomId,
};
const deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);
const { work } = job;
if ("backup" in work) await runBackup(deps, work.backup, deadline);
else if ("restore" in work) await runRestore(deps, work.restore, work.options, deadline);
else {
  const source = deps.cluster;
  await runThreePhase({ ...deps, source }, work.threePhase, work.options, deadline);
}
await cluster.disconnect();
await storage.close();
