/** The write-once documents of a run: what it added to the backup, and what the cluster was. */
import {
  checkedName,
  checkSame,
  corrupt,
  documentBytes,
  parseDocument,
  readReferenced,
  referenceTo,
} from "#core/catalog/documents.ts";
import {
  type ClusterDocument,
  clusterDocument,
  type ObjectReference,
  type RunDocument,
  type RunList,
  runDocument,
  runList,
} from "#core/catalog/manifest.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  clusterDocumentKey,
  inBackup,
  parseSegmentKey,
  runDocumentKey,
  runListKey,
} from "#core/storage/keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";

type PartitionList = RunList["partitions"][number];

export async function writeRunList(
  storage: StorageBackend,
  list: RunList,
): Promise<ObjectReference> {
  const key = runListKey(list.run_id, list.topic);
  checkPartitionLists(inBackup(list.backup_id, key), list);
  return writeDocument(storage, list.backup_id, key, list);
}

export async function writeClusterDocument(
  storage: StorageBackend,
  backupId: string,
  runId: string,
  document: ClusterDocument,
): Promise<ObjectReference> {
  return writeDocument(storage, backupId, clusterDocumentKey(runId), document);
}

export async function writeRunDocument(
  storage: StorageBackend,
  run: RunDocument,
): Promise<ObjectReference> {
  return writeDocument(storage, run.backup_id, runDocumentKey(run.run_id), run);
}

async function writeDocument(
  storage: StorageBackend,
  backupId: string,
  key: string,
  document: unknown,
): Promise<ObjectReference> {
  const body = documentBytes(document);
  await writeOnce(storage, inBackup(backupId, key), body);
  return referenceTo(key, body);
}

export async function readRunDocument(
  storage: StorageBackend,
  backupId: string,
  reference: ObjectReference,
): Promise<RunDocument> {
  const body = await readReferenced(storage, backupId, reference);
  const key = inBackup(backupId, reference.key);
  const run = parseDocument(key, body, runDocument);
  checkSame(key, "backup_id", run.backup_id, backupId);
  checkedName(key, "run_id", () => runDocumentKey(run.run_id));
  checkSame(key, "run_id", runDocumentKey(run.run_id), reference.key);
  checkSame(key, "cluster.key", run.cluster.key, clusterDocumentKey(run.run_id));
  const topics = new Set<string>();
  for (const [i, list] of run.lists.entries()) {
    const expected = checkedName(key, `lists.${i}`, () => runListKey(run.run_id, list.topic));
    checkSame(key, `lists.${i}.key`, list.key, expected);
    if (topics.has(list.topic)) throw corrupt(key, `lists.${i}: topic ${list.topic} comes twice`);
    topics.add(list.topic);
  }
  return run;
}

export async function readRunList(
  storage: StorageBackend,
  backupId: string,
  reference: ObjectReference,
): Promise<RunList> {
  const body = await readReferenced(storage, backupId, reference);
  const key = inBackup(backupId, reference.key);
  const list = parseDocument(key, body, runList);
  checkSame(key, "backup_id", list.backup_id, backupId);
  const expected = checkedName(key, "topic", () => runListKey(list.run_id, list.topic));
  checkSame(key, "run_id and topic", expected, reference.key);
  checkPartitionLists(key, list);
  return list;
}

export async function readClusterDocument(
  storage: StorageBackend,
  backupId: string,
  reference: ObjectReference,
): Promise<ClusterDocument> {
  const body = await readReferenced(storage, backupId, reference);
  return parseDocument(inBackup(backupId, reference.key), body, clusterDocument);
}

/** A lineage of a partition comes once; a partition's lineages come in ascending order. */
function checkPartitionLists(key: string, list: RunList): void {
  const newest = new Map<number, number>();
  for (const partitionList of list.partitions) {
    const { partition, lineage } = partitionList;
    if (lineage <= (newest.get(partition) ?? 0)) {
      throw corrupt(key, `partition ${partition}: lineage ${lineage} comes twice or out of order`);
    }
    newest.set(partition, lineage);
    checkSegments(key, list.topic, partitionList);
  }
}

/** Segments lie in their partition's folder (S2), in ascending order of offsets, without overlap. */
function checkSegments(key: string, topic: string, list: PartitionList): void {
  let previousEnd = -1n;
  for (const segment of list.segments) {
    checkSegmentKey(key, topic, list.partition, segment.key);
    const { start_offset: start, end_offset: end } = segment;
    if (start <= previousEnd || end < start) {
      throw corrupt(
        key,
        `partition ${list.partition}: ${segment.key} has offsets ${start} to ${end}, ` +
          `after offset ${previousEnd}`,
      );
    }
    previousEnd = end;
  }
}

/** Throws CorruptManifestError unless `segmentKey` names a segment of that partition. */
export function checkSegmentKey(
  key: string,
  topic: string,
  partition: number,
  segmentKey: string,
): void {
  const parsed = parseSegmentKey(segmentKey);
  const isOurs =
    parsed?.topic === topic && parsed.partition === partition && parsed.extension !== "index";
  if (isOurs) return;
  throw corrupt(key, `${JSON.stringify(segmentKey)} is no segment of ${topic}-${partition}`);
}
