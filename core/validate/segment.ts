/** The worker of a validation: one segment and its index, at the level that was asked for. */
import { isBackupError } from "#core/errors.ts";
import type { Deadline } from "#core/runtime.ts";
import { readIndex } from "#core/segment/reader.ts";
import type { SegmentIndex } from "#core/segment/segment-index.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, indexKeyOf } from "#core/storage/keys.ts";
import { SegmentContents } from "#core/validate/contents.ts";
import { FindingLog, type LoggedFindings } from "#core/validate/finding-log.ts";
import { type FindingCode, finding, type ValidationLevel } from "#core/validate/findings.ts";
import { placeOf, type ValidationItem } from "#core/validate/item.ts";

/**
 * Segments looked at at once. Shallow is two HEAD requests, bound by latency; deep is bound by the
 * processor and holds about 16 MiB for each.
 */
export const concurrentSegments: Readonly<Record<ValidationLevel, number>> = {
  shallow: 32,
  deep: 4,
};

/** Findings kept of one segment; a segment that is bad throughout needs no more. */
const findingsPerSegmentMax = 100;

export interface SegmentValidation extends LoggedFindings {
  /** `continue`: the deadline came first; the same request again looks at it from the start. */
  readonly status: "done" | "continue";
  /** What was read and checked; all 0 at the shallow level. */
  readonly read: { readonly bytes: number; readonly batches: number; readonly records: number };
}

/**
 * Looks at one segment. Damage is a finding, never an error: throws only what keeps it from
 * looking, AccessDeniedError, StorageUnavailableError, ThrottledError, and
 * UnsupportedFormatVersionError for an index.
 */
export async function validateSegment(
  { storage }: { readonly storage: StorageBackend },
  item: ValidationItem,
  deadline: Deadline,
): Promise<SegmentValidation> {
  const log = new FindingLog(findingsPerSegmentMax);
  const objects = await checkObjects(storage, item, log);
  const nothing = { bytes: 0, batches: 0, records: 0 };
  if (item.level === "shallow" || objects === undefined) {
    return { status: "done", read: nothing, ...log.result() };
  }
  const index = objects.isIndexThere
    ? await readIndexOrFinding(storage, item, objects.indexKey, log)
    : undefined;
  if (!objects.isSegmentThere) return { status: "done", read: nothing, ...log.result() };
  const contents = new SegmentContents(storage, item, log);
  const status = await contents.check(index, deadline).catch((error: unknown) => {
    if (!isBackupError(error, "ObjectNotFoundError")) throw error;
    log.add(finding("segment_missing", error.message, placeOf(item, contents.key)));
    return "done" as const; // Removed since its size was read.
  });
  return { status, read: contents.read, ...log.result() };
}

interface SegmentObjects {
  readonly indexKey: string;
  readonly isSegmentThere: boolean;
  readonly isIndexThere: boolean;
}

/** Existence and size. Undefined where the list names no segment, which the plan has found. */
async function checkObjects(
  storage: StorageBackend,
  item: ValidationItem,
  log: FindingLog,
): Promise<SegmentObjects | undefined> {
  const { backup_id, segment } = item;
  const keys = keysOf(backup_id, segment.key);
  if (keys === undefined) return undefined;
  const check = async (what: "segment" | "index", key: string, bytes: number) => {
    const info = await storage.head(key);
    const code: FindingCode = info === undefined ? `${what}_missing` : `${what}_size_differs`;
    if (info?.size === bytes) return true;
    const problem =
      info === undefined ? "does not exist" : `has ${info.size} bytes, ${bytes} are recorded`;
    log.add(finding(code, `${what} ${key} ${problem}`, placeOf(item, key)));
    return info !== undefined;
  };
  const [isSegmentThere, isIndexThere] = await Promise.all([
    check("segment", keys.segmentKey, segment.stored_bytes),
    check("index", keys.indexKey, segment.index_bytes),
  ]);
  return { indexKey: keys.indexKey, isSegmentThere, isIndexThere };
}

function keysOf(
  backupId: string,
  key: string,
): { segmentKey: string; indexKey: string } | undefined {
  try {
    return { segmentKey: inBackup(backupId, key), indexKey: inBackup(backupId, indexKeyOf(key)) };
  } catch (error) {
    if (isBackupError(error, "CorruptManifestError")) return undefined;
    throw error;
  }
}

async function readIndexOrFinding(
  storage: StorageBackend,
  item: ValidationItem,
  key: string,
  log: FindingLog,
): Promise<SegmentIndex | undefined> {
  try {
    return await readIndex(storage, key, item.segment);
  } catch (error) {
    if (!isBackupError(error, "CorruptSegmentError", "SegmentNotFoundError")) throw error;
    log.add(finding("index_damaged", error.message, placeOf(item, key)));
    return undefined;
  }
}
