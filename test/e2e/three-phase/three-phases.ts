/** Three-phase restores as an entry point would call them, for tests against real services. */
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type Deadline, silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import type {
  ThreePhaseDeps,
  ThreePhaseOptions,
  ThreePhaseRequest,
  ThreePhaseResult,
} from "#core/three-phase/contract.ts";
import { runThreePhase } from "#core/three-phase/run.ts";
import { noDeadline } from "#test/support/engine.ts";

export function threePhaseDeps(
  storage: StorageBackend,
  cluster: Cluster,
  source?: Cluster,
): ThreePhaseDeps {
  return {
    storage,
    catalog: openCatalog({ storage, clock: systemClock, newId: randomId }),
    cluster,
    clock: systemClock,
    logger: silentLogger,
    newId: randomId,
    ...(source !== undefined && { source }),
  };
}

/** Of the topics in `mapping`, each into the one that it names. */
export function requestOf(
  backupId: string,
  mapping: Readonly<Record<string, string>>,
  changes: Partial<Omit<ThreePhaseRequest, "restore">> & {
    readonly restore?: Partial<ThreePhaseRequest["restore"]>;
  } = {},
): ThreePhaseRequest {
  const { restore, ...others } = changes;
  return {
    restore: {
      backup_id: backupId,
      window: {},
      topics: { include: Object.keys(mapping), exclude: [] },
      topic_mapping: { ...mapping },
      partition_mapping: {},
      create_topics: true,
      allow_non_empty: false,
      ...restore,
    },
    groups: { all: true },
    strategy: "offset-map",
    ...others,
  };
}

export const threePhaseOptions: ThreePhaseOptions = {
  start_new: false,
  resume: false,
  max_concurrent_partitions: 4,
  checkpoint_interval_ms: 5_000,
  bootstrap_servers: ["localhost:9092"],
};

/** Throws also what a reset failed with. */
export async function runPhases(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  options: Partial<ThreePhaseOptions> = {},
  deadline: Deadline = noDeadline,
): Promise<ThreePhaseResult> {
  const asked = { ...threePhaseOptions, ...options };
  const result = await runThreePhase(deps, request, asked, deadline);
  if (result.error !== undefined) throw result.error;
  return result;
}

/** All objects of a storage, in another one. */
export async function copyOf(storage: StorageBackend): Promise<StorageBackend> {
  const copy = openMemory();
  for await (const { key } of storage.list("")) {
    await copy.createIfAbsent(key, await storage.get(key));
  }
  return copy;
}
