/**
 * The catalogue of the bucket with a table beside it. The bucket stays the truth and is written
 * first: who has it alone lists, restores, continues runs and commits. The table makes quick what
 * a bucket makes slow, and is believed only as far as the bucket agrees: a process that died
 * between the two leaves the table one step behind, and readers look for that step.
 *
 * What a run writes bears the token of the lease that its process holds, and never replaces what
 * was written under a greater one (C5).
 */
import pLimit from "p-limit";
import type {
  Catalog,
  CataloguedBackup,
  Lease,
  LeaseScope,
  PartitionOfRun,
  StoredManifest,
} from "#core/catalog/catalog.ts";
import { documentBytes, parseState } from "#core/catalog/documents.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { latestSummary, manifestExists } from "#core/catalog/manifests.ts";
import { type Checkpoint, checkpoint, type OpenRun } from "#core/catalog/run-state.ts";
import { type ManifestSummary, manifestSummary } from "#core/catalog/summary.ts";
import type { TableItem } from "#core/catalog/table.ts";
import {
  backupItem,
  backupsPk,
  checkpointItem,
  checkpointsPk,
  checkpointsPrefix,
  committedRunItem,
  jsonIn,
  leaseItem,
  manifestItem,
  openRunItem,
  restoreItem,
  restoreOrder,
  runKey,
  snapshotItem,
  snapshotItemKey,
} from "#core/catalog/table-items.ts";
import {
  manifestVersion,
  restores,
  snapshots,
  type TableLookupDeps,
} from "#core/catalog/table-lookups.ts";
import { BackupError } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";
import { checkpointKey, checkpointTopicsFolder } from "#core/storage/checkpoint-keys.ts";
import { inBackup } from "#core/storage/keys.ts";

export interface TableCatalogDeps extends TableLookupDeps {
  readonly clock: Clock;
}

/** Items of one run that are put at once where the table had none. */
const concurrentPuts = 8;

export function withTable(deps: TableCatalogDeps): Catalog {
  const { objects, table } = deps;
  const index = new TableIndex(deps);
  return {
    ...objects,
    summaries: () => index.summaries(),
    manifestVersion: (backupId, request) => manifestVersion(deps, backupId, request),
    commitManifest: (manifest) => index.commitManifest(manifest),
    writeOpenRun: (backupId, run) => index.writeOpenRun(backupId, run),
    closeRun: (backupId, runId) => index.closeRun(backupId, runId),
    appendCheckpoint: (at, part) => index.appendCheckpoint(at, part),
    checkpoints: (at) => index.checkpoints(at),
    acquireLease: async (scope, waitMs, signal) =>
      index.noted(scope, await objects.acquireLease(scope, waitMs, signal)),
    continueLease: async (scope, holder) =>
      index.noted(scope, await objects.continueLease(scope, holder)),
    snapshots: () => snapshots(deps),
    noteSnapshot: async (summary) => {
      await table.put(snapshotItem(summary), 0);
    },
    forgetSnapshots: (ids) => table.delete(ids.map(snapshotItemKey)),
    restores: (backupId, max) => restores(deps, backupId, max),
    noteRestore: async (backupId, summary) => {
      await table.put(restoreItem(backupId, summary), restoreOrder[summary.status]);
    },
  };
}

class TableIndex {
  readonly #deps: TableCatalogDeps;
  /** By backup: the lease of its runs that this process holds. */
  readonly #leases = new Map<string, Lease>();

  constructor(deps: TableCatalogDeps) {
    this.#deps = deps;
  }

  /** A backup that the table does not know, or knows an older manifest of, is read. */
  async *summaries(): AsyncGenerator<CataloguedBackup> {
    const { objects, storage, table } = this.#deps;
    const known = new Map<string, ManifestSummary>();
    for await (const item of table.query(backupsPk, "")) {
      const summary = manifestSummary.safeParse(jsonIn(item.summary));
      if (summary.success) known.set(item.sk, summary.data);
    }
    for await (const backup_id of objects.listBackups()) {
      const summary = known.get(backup_id);
      const isNewest = summary !== undefined && (await this.#isNewest(summary));
      yield { backup_id, summary: isNewest ? summary : await latestSummary(storage, backup_id) };
    }
  }

  async #isNewest({ backup_id, generation }: ManifestSummary): Promise<boolean> {
    const { storage } = this.#deps;
    const [isThere, hasNext] = await Promise.all([
      manifestExists(storage, backup_id, generation),
      manifestExists(storage, backup_id, generation + 1),
    ]);
    return isThere && !hasNext;
  }

  async commitManifest(manifest: Manifest): Promise<StoredManifest> {
    const { objects, table } = this.#deps;
    const stored = await objects.commitManifest(manifest);
    const { backup_id, generation, runs } = stored.manifest;
    const run = runs.at(-1);
    if (run !== undefined) await table.put(committedRunItem(backup_id, run), run.lease_token);
    await table.put(manifestItem(stored), 0);
    await table.put(backupItem(stored), generation);
    return stored;
  }

  async writeOpenRun(backupId: string, run: OpenRun): Promise<void> {
    const { objects, table, clock } = this.#deps;
    await objects.writeOpenRun(backupId, run);
    await table.put(openRunItem(backupId, run, clock.nowMs()), this.#token(backupId));
  }

  /** What is left of a committed run stays in the table: its item says so. */
  async closeRun(backupId: string, runId: string): Promise<void> {
    const { objects, storage, table } = this.#deps;
    const folder = inBackup(backupId, checkpointTopicsFolder(runId));
    for await (const topic of storage.listFolders(folder)) {
      const items: TableItem[] = [];
      for await (const item of table.query(checkpointsPk(backupId, runId, topic), "")) {
        items.push(item);
      }
      await table.delete(items);
    }
    const { pk, sk } = runKey(backupId, runId);
    for await (const item of table.query(pk, sk)) {
      if (item.sk === sk && item.status === "open") await table.delete([item]);
    }
    await objects.closeRun(backupId, runId);
  }

  async appendCheckpoint(at: PartitionOfRun, part: Checkpoint): Promise<void> {
    await this.#deps.objects.appendCheckpoint(at, part);
    await this.#noteCheckpoint(at, part);
  }

  /** One query, and a look whether the bucket has a part more, or none of them any longer. */
  async checkpoints(at: PartitionOfRun): Promise<Checkpoint[]> {
    const parts = await this.#checkpointsInTable(at);
    if (parts !== undefined && (await this.#areAll(at, parts.length))) return parts;
    const stored = await this.#deps.objects.checkpoints(at);
    const limit = pLimit(concurrentPuts);
    await Promise.all(
      stored.slice(parts?.length ?? 0).map((part) => limit(() => this.#noteCheckpoint(at, part))),
    );
    return stored;
  }

  async #noteCheckpoint(at: PartitionOfRun, part: Checkpoint): Promise<void> {
    const { table, clock } = this.#deps;
    const item = checkpointItem(at, part, documentBytes(part), clock.nowMs());
    if (await table.put(item, this.#token(at.backupId))) return;
    throw new BackupError(
      "BackupConflictError",
      `run ${at.runId} of backup "${at.backupId}": ${at.topic}-${at.partition} has a checkpoint ` +
        `${part.sequence} that was written under a newer lease`,
    );
  }

  /** Undefined where one is missing or has no room in the table. */
  async #checkpointsInTable(at: PartitionOfRun): Promise<Checkpoint[] | undefined> {
    const pk = checkpointsPk(at.backupId, at.runId, at.topic);
    const parts: Checkpoint[] = [];
    for await (const { sk, body } of this.#deps.table.query(pk, checkpointsPrefix(at))) {
      if (typeof body !== "string") return undefined;
      const part = parseState(`${pk} ${sk}`, Buffer.from(body), checkpoint);
      if (part.sequence !== parts.length) return undefined;
      parts.push(part);
    }
    return parts;
  }

  async #areAll(at: PartitionOfRun, count: number): Promise<boolean> {
    const isThere = async (sequence: number) => {
      const key = inBackup(at.backupId, checkpointKey(at, sequence));
      return (await this.#deps.storage.head(key)) !== undefined;
    };
    const [hasLast, hasNext] = await Promise.all([
      count === 0 ? true : isThere(count - 1),
      isThere(count),
    ]);
    return hasLast && !hasNext;
  }

  /** The lease with its moves told to the table. */
  async noted(scope: LeaseScope, lease: Lease): Promise<Lease> {
    if (scope.purpose === "backup") this.#leases.set(scope.backupId, lease);
    const note = async (released: boolean) => {
      await this.#deps.table.put(leaseItem(scope, { ...lease.holder, released }), lease.token);
    };
    await note(false);
    return {
      get token() {
        return lease.token;
      },
      get holder() {
        return lease.holder;
      },
      async renew() {
        await lease.renew();
        await note(false);
      },
      async release() {
        await lease.release();
        await note(true);
      },
    };
  }

  /** 0 for who holds none: it replaces nothing that a holder wrote. */
  #token(backupId: string): number {
    return this.#leases.get(backupId)?.token ?? 0;
  }
}
