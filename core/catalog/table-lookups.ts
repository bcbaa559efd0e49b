/**
 * What the table knows without a document being read: versions of manifests, snapshots, restores.
 * The names of what there is always come from the bucket; of what the table does not know, or
 * knows otherwise than the bucket, nothing is said, and whoever asks reads the document.
 */
import pLimit from "p-limit";
import type { Catalog, CataloguedRestore, CataloguedSnapshot } from "#core/catalog/catalog.ts";
import type { ManifestVersion, VersionRequest } from "#core/catalog/manifest-version.ts";
import { manifestExists } from "#core/catalog/manifests.ts";
import { type RestoreSummary, restoreSummary } from "#core/catalog/restore-summary.ts";
import { type SnapshotSummary, snapshotSummary } from "#core/catalog/snapshot-summary.ts";
import { storedSnapshots } from "#core/catalog/stored-ids.ts";
import { manifestSummary } from "#core/catalog/summary.ts";
import type { CatalogTable, TableItem } from "#core/catalog/table.ts";
import {
  backupPk,
  jsonIn,
  manifestPrefix,
  restoresPrefix,
  snapshotsPk,
  unpackedManifest,
} from "#core/catalog/table-items.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, restoreAbandonedKey, restoreReportKey } from "#core/storage/keys.ts";

export interface TableLookupDeps {
  readonly objects: Catalog;
  readonly storage: StorageBackend;
  readonly table: CatalogTable;
}

/** One query, and a look whether the bucket has that manifest, and none after the newest. */
export async function manifestVersion(
  { objects, storage, table }: TableLookupDeps,
  backupId: string,
  request: VersionRequest,
): Promise<ManifestVersion | undefined> {
  const prefix = manifestPrefix(request.generation);
  const [item] = await table.newest(backupPk(backupId), prefix, 1);
  const version = item === undefined ? undefined : versionIn(item, request.runs_max);
  if (version !== undefined) {
    const { generation } = version.summary;
    const isAsked = request.generation === undefined;
    const [isThere, hasNext] = await Promise.all([
      manifestExists(storage, backupId, generation),
      isAsked && manifestExists(storage, backupId, generation + 1),
    ]);
    if (isThere && !hasNext) return version;
  }
  return objects.manifestVersion(backupId, request);
}

/** Undefined where the item has not all of it. */
function versionIn(item: TableItem, runsMax: number): ManifestVersion | undefined {
  const manifest = unpackedManifest(item);
  const summary = manifestSummary.safeParse(jsonIn(item.summary)).data;
  if (manifest === undefined || summary === undefined) return undefined;
  if (manifest.runs.length < Math.min(runsMax, summary.run_count)) return undefined;
  const { created_at, created_by, topics } = manifest;
  const runs = manifest.runs.slice(Math.max(0, manifest.runs.length - runsMax));
  return { summary, sha256: String(item.sha256), created_at, created_by, topics, runs };
}

/** One query beside the bucket's own list. */
export async function* snapshots({
  storage,
  table,
}: TableLookupDeps): AsyncGenerator<CataloguedSnapshot> {
  const known = new Map<string, SnapshotSummary>();
  for await (const item of table.query(snapshotsPk, "")) {
    const { data } = snapshotSummary.safeParse(jsonIn(item.summary));
    if (data !== undefined) known.set(item.sk, data);
  }
  for await (const { snapshot_id, bytes } of storedSnapshots(storage)) {
    const summary = known.get(snapshot_id);
    yield { snapshot_id, summary: summary?.bytes === bytes ? summary : undefined };
  }
}

/** Restores whose end is looked for at once. */
const concurrentLooks = 8;

export async function restores(
  deps: TableLookupDeps,
  backupId: string,
  max: number,
): Promise<CataloguedRestore[]> {
  const known = new Map<string, RestoreSummary>();
  for (const item of await deps.table.newest(backupPk(backupId), restoresPrefix, max)) {
    const { data } = restoreSummary.safeParse(jsonIn(item.summary));
    if (data !== undefined) known.set(data.restore_id, data);
  }
  const limit = pLimit(concurrentLooks);
  const stored = await deps.objects.restores(backupId, max);
  return Promise.all(
    stored.map(({ restore_id }) =>
      limit(async () => {
        const summary = known.get(restore_id);
        const isSo = summary !== undefined && (await isStillSo(deps, backupId, summary));
        return { restore_id, summary: isSo ? summary : undefined };
      }),
    ),
  );
}

/** A restore that has ended begins no more; of one that has begun the table may not know the end. */
async function isStillSo(
  { storage }: TableLookupDeps,
  backupId: string,
  { restore_id, status }: RestoreSummary,
): Promise<boolean> {
  if (status !== "begun") return true;
  const ends = [restoreReportKey(restore_id), restoreAbandonedKey(restore_id)];
  const found = await Promise.all(ends.map((key) => storage.head(inBackup(backupId, key))));
  return found.every((object) => object === undefined);
}
