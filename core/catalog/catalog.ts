/**
 * The catalogue: what backups there are, what a run has done so far, and who may write. Siblings
 * keep it in the bucket alone (`objects.ts`) or in DynamoDB beside the bucket; one contract suite
 * (test/contract/catalog.ts) runs against each. Methods throw what StorageBackend throws, and
 * CorruptManifestError, UnsupportedFormatVersionError and BackupNotFoundError where they read.
 */
import type {
  ClusterDocument,
  Manifest,
  ObjectReference,
  RunDocument,
  RunEntry,
  RunList,
} from "#core/catalog/manifest.ts";
import type { ManifestVersion, VersionRequest } from "#core/catalog/manifest-version.ts";
import type { RestoreSummary } from "#core/catalog/restore-summary.ts";
import type { Checkpoint, OpenRun } from "#core/catalog/run-state.ts";
import type { SnapshotSummary } from "#core/catalog/snapshot-summary.ts";
import type { ManifestSummary } from "#core/catalog/summary.ts";
import type { BackupError } from "#core/errors.ts";
import type { RangeName } from "#core/storage/checkpoint-keys.ts";

export interface StoredManifest {
  readonly manifest: Manifest;
  /** Of the stored bytes. */
  readonly sha256: string;
}

export interface CataloguedBackup {
  readonly backup_id: string;
  /** Undefined before the first commit; the error of a newest manifest that cannot be read. */
  readonly summary: ManifestSummary | BackupError | undefined;
}

/** Found in the store, with what is known of it without reading it there. */
export interface CataloguedSnapshot {
  readonly snapshot_id: string;
  readonly summary: SnapshotSummary | undefined;
}

export interface CataloguedRestore {
  readonly restore_id: string;
  readonly summary: RestoreSummary | undefined;
}

export interface Catalog {
  /** Ids of all backups, ascending. */
  listBackups(): AsyncIterable<string>;

  /** The same with what their newest manifests say; a damaged backup hides no other. */
  summaries(): AsyncIterable<CataloguedBackup>;

  /** The newest committed manifest, or undefined when the backup has none. */
  latestManifest(backupId: string): Promise<StoredManifest | undefined>;

  /** Throws BackupNotFoundError. */
  readManifest(backupId: string, generation: number): Promise<StoredManifest>;

  /**
   * What one manifest says, to be shown and not to be acted on; undefined when the backup has none.
   * Throws BackupNotFoundError for a generation that is not there.
   */
  manifestVersion(backupId: string, request: VersionRequest): Promise<ManifestVersion | undefined>;

  /**
   * The commit of a run: creates the manifest of `manifest.generation` unless it exists, then
   * replaces the copy `manifest.json`. Idempotent: the same bytes again succeed. Throws
   * BackupConflictError when that generation exists with other bytes. `previous_sha256` is the
   * caller's; runs beyond a page's length are moved to a page here, before the commit.
   */
  commitManifest(manifest: Manifest): Promise<StoredManifest>;

  /** All runs of a manifest, oldest first; pages are read and checked one by one. */
  runsOf(manifest: Manifest): AsyncIterable<RunEntry>;

  /** Write-once documents of a run. Idempotent for the same bytes, else BackupConflictError. */
  writeRunList(list: RunList): Promise<ObjectReference>;
  writeClusterDocument(
    backupId: string,
    runId: string,
    document: ClusterDocument,
  ): Promise<ObjectReference>;
  writeRunDocument(run: RunDocument): Promise<ObjectReference>;

  /** Readers check size and SHA-256 against the reference. Throw CorruptManifestError. */
  readRunDocument(backupId: string, reference: ObjectReference): Promise<RunDocument>;
  readRunList(backupId: string, reference: ObjectReference): Promise<RunList>;
  readClusterDocument(backupId: string, reference: ObjectReference): Promise<ClusterDocument>;

  /** The run that has been opened and not closed, or undefined. */
  openRun(backupId: string): Promise<OpenRun | undefined>;
  writeOpenRun(backupId: string, run: OpenRun): Promise<void>;
  /** Removes the run's state, after its commit. Idempotent. */
  closeRun(backupId: string, runId: string): Promise<void>;

  /**
   * Adds the part with the next sequence number. Throws BackupConflictError when that number
   * exists with other content: another worker is on the same partition.
   */
  appendCheckpoint(at: PartitionOfRun, part: Checkpoint): Promise<void>;
  /** All parts of one partition, or of one range, in order of their sequence. */
  checkpoints(at: PartitionOfRun): Promise<Checkpoint[]>;

  /**
   * Takes the lease, or throws BackupConflictError when somebody else's was seen to move
   * within `waitMs` by this process's own clock. A lease that did not move for 30 s is taken over.
   */
  acquireLease(scope: LeaseScope, waitMs: number, signal: AbortSignal): Promise<Lease>;

  /**
   * Goes on holding, in another process of the same run, the lease that `holder` names, and proves
   * it by moving it. Several processes may hold it at the same time. Throws BackupConflictError
   * when it was released or taken over.
   */
  continueLease(scope: LeaseScope, holder: LeaseHolder): Promise<Lease>;

  /** All offset snapshots beside the backups, ascending by id. */
  snapshots(): AsyncIterable<CataloguedSnapshot>;
  /**
   * Tells of a snapshot that was stored, so that it may be known without being read; one that
   * nobody told of is found all the same. Idempotent.
   */
  noteSnapshot(summary: SnapshotSummary): Promise<void>;
  /** To be called before snapshots are removed. Idempotent. */
  forgetSnapshots(snapshotIds: readonly string[]): Promise<void>;

  /** The newest `max` restores out of a backup, oldest first. */
  restores(backupId: string, max: number): Promise<CataloguedRestore[]>;
  /**
   * Tells of a restore whose documents say so by now; one that nobody told of is found all the
   * same. Idempotent; an end that was told of is not taken back.
   */
  noteRestore(backupId: string, summary: RestoreSummary): Promise<void>;
}

export interface PartitionOfRun {
  readonly backupId: string;
  readonly runId: string;
  readonly topic: string;
  readonly partition: number;
  /**
   * A partition that is read in several ranges has checkpoints of its own for each, as if it were
   * several partitions. Absent: the first range, or the whole partition.
   */
  readonly range?: RangeName | undefined;
}

/** What a lease guards: the backup's commits, or restores out of it into one cluster. */
export interface LeaseScope {
  readonly backupId: string;
  /** `backup`, or `restore:{target cluster id}`. */
  readonly purpose: string;
}

/** Who holds a lease, for handing it from one process of a run to the next. */
export interface LeaseHolder {
  /** Unguessable, of one acquisition. */
  readonly owner: string;
  /** One that this owner has held; the newest known is best. */
  readonly token: number;
}

/** Held from `acquireLease` to `release`. */
export interface Lease {
  /** Grows with every acquisition and renewal, by any holder. */
  readonly token: number;
  readonly holder: LeaseHolder;
  /**
   * Proves that the lease is still this holder's, by moving it. Throws BackupConflictError when
   * somebody took it over: the caller must stop and write nothing more.
   */
  renew(): Promise<void>;
  /** Lets the next one in at once. Idempotent; a lost lease is left alone. */
  release(): Promise<void>;
}
