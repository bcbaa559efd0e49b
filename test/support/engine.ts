/** The engine as an entry point would call it, for tests against real services. */
import type { BackupRequest, BackupResult, SegmentSettings } from "#core/backup/contract.ts";
import { runBackup } from "#core/backup/run.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { type RestoreOptions, type RestoreResult, runRestore } from "#core/restore/run.ts";
import { type Deadline, deadlineAt, type OnProgress, silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { randomName } from "#test/support/kafka.ts";

export const noDeadline: Deadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);

export const segmentSettings: SegmentSettings = {
  compression: "zstd",
  recompress: "never",
  segment_max_bytes: 128 * 1024 * 1024,
  checkpoint_interval_ms: 5_000,
};

export interface TestEngine {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly cluster: Cluster;
  readonly backupId: string;
  backup(
    topics: readonly string[],
    settings?: Partial<SegmentSettings>,
    deadline?: Deadline,
    request?: Partial<BackupRequest>,
  ): Promise<BackupResult>;
  /** Restores `topics`, each under the name that `mapping` gives it. */
  restore(
    mapping: Readonly<Record<string, string>>,
    request?: Partial<RestoreRequest>,
    options?: Partial<RestoreOptions>,
    deadline?: Deadline,
  ): Promise<RestoreResult>;
}

export function testEngine(
  cluster: Cluster,
  options: { storage?: StorageBackend; backupId?: string; onProgress?: OnProgress } = {},
): TestEngine {
  const storage = options.storage ?? openMemory();
  const backupId = options.backupId ?? randomName("backup");
  const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
  const { onProgress } = options;
  const deps = {
    storage,
    catalog,
    cluster,
    clock: systemClock,
    logger: silentLogger,
    newId: randomId,
    ...(onProgress !== undefined && { onProgress }),
  };
  return {
    storage,
    catalog,
    cluster,
    backupId,
    backup(topics, settings = {}, deadline = noDeadline, changes = {}) {
      const request: BackupRequest = {
        backup_id: backupId,
        topics: { include: [...topics], exclude: [] },
        segments: { ...segmentSettings, ...settings },
        max_concurrent_partitions: 4,
        ...changes,
      };
      return runBackup(deps, request, deadline);
    },
    restore(mapping, request = {}, options = {}, deadline = noDeadline) {
      return runRestore(
        deps,
        {
          backup_id: backupId,
          window: {},
          topics: { include: Object.keys(mapping), exclude: [] },
          topic_mapping: { ...mapping },
          partition_mapping: {},
          create_topics: true,
          allow_non_empty: false,
          ...request,
        },
        {
          start_new: false,
          max_concurrent_partitions: 4,
          checkpoint_interval_ms: 5_000,
          bootstrap_servers: ["localhost:9092"],
          ...options,
        },
        deadline,
      );
    },
  };
}
